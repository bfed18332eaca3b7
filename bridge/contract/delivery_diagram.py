"""Diagram of the states of a delivery, from their table: the part of docs/protocol.md between two markers."""

from typing import Final

from bridge.protocol.delivery_automaton import NEXT_STATE, DeliveryState, DeliveryStep

BEGIN: Final = "<!-- generated from bridge/protocol/delivery_automaton.py by `make docs` -->\n"
END: Final = "<!-- end of the generated part -->\n"


def delivery_diagram() -> str:
    """Return the states and steps as a Mermaid state diagram.

    A step that leads from all other states to the same one is drawn once.
    """
    targets = set(NEXT_STATE.values())
    from_all = [
        (step, state) for step in DeliveryStep for state in DeliveryState if _leads_from_all_others(step, state)
    ]
    return "\n".join(
        [
            "```mermaid",
            "stateDiagram-v2",
            *(f'    state "{words(state)}" as {state.name.lower()}' for state in DeliveryState),
            *(f"    [*] --> {state.name.lower()}" for state in DeliveryState if state not in targets),
            *(
                f"    {state.name.lower()} --> {target.name.lower()}: {words(step)}"
                for (state, step), target in NEXT_STATE.items()
                if (step, target) not in from_all
            ),
            *(['    state "any other state" as any_other'] if from_all else []),
            *(f"    any_other --> {target.name.lower()}: {words(step)}" for step, target in from_all),
            "```",
            "",
        ]
    )


def with_diagram(document: str) -> str:
    """Return the document with the diagram between its markers; unchanged if it does not have both."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}{delivery_diagram()}{end}{after}" if end else document


def words(name: DeliveryState | DeliveryStep) -> str:
    """Return the name as the documents write it."""
    return name.name.lower().replace("_", " ")


def _leads_from_all_others(step: DeliveryStep, target: DeliveryState) -> bool:
    return all(NEXT_STATE.get((state, step)) is target for state in DeliveryState if state is not target)
