"""A plant with one line, and a state as its checkpoint restores it, for tests of a line's parts."""

from typing import TypeVar

import msgspec

from bridge.domain.plant import Plant

State = TypeVar("State")


def one_line_plant(
    *equipment: dict[str, object], limits: tuple[dict[str, object], ...] = (), **fields: object
) -> Plant:
    """Return a plant whose line L1 has this equipment, by default one machine; `fields` are those of the plant."""
    line = {"id": "L1", "area": "pack", "equipment": equipment or ({"id": "BAG1"},), "limits": limits}
    return Plant.model_validate(
        {"name": "works", "areas": [{"id": "pack", "site": "north"}], "lines": [line], **fields}
    )


def from_checkpoint(state: State) -> State:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=type(state))
