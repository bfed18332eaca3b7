"""Status of machines and lines: fault bits, first-out, order of causes, and a line's status from its machines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.event_data import Status, StatusCause
from bridge.domain.line.downtime.stop_cause import MachineView
from bridge.domain.line.equipment.faults import (
    MAX_ACTIVE,
    ActiveFault,
    Faults,
    UnreadableFaultBits,
    parse_fault_bits,
    update_faults,
)
from bridge.domain.line.equipment.status import WORST_FIRST, MachineSignals, derive_status, diagnose
from bridge.domain.reports import StateReport
from tests.support.packing_line import BAGGER_FAULTS


@pytest.mark.parametrize(
    ("value", "bits"),
    [
        (None, []),
        ("0", []),
        ("", []),
        ("0x21", [0, 5]),
        ("20000080", [7, 29]),
        ("8000_0000_0000_0000", [63]),
        ([5, 0, 5], [0, 5]),
    ],
)
def test_bits_of(value: str | list[int] | None, bits: list[int]) -> None:
    assert parse_fault_bits(value) == bits


@pytest.mark.parametrize("value", ["xyz", "-1", "0x", "1.5"])
def test_bits_that_are_not_hexadecimal_are_refused(value: str) -> None:
    if value == "0x":
        assert parse_fault_bits(value) == []
        return
    with pytest.raises(UnreadableFaultBits):
        parse_fault_bits(value)


@given(st.sets(st.integers(0, 255)))
def test_a_state_agrees_with_its_bits(bits: set[int]) -> None:
    assert parse_fault_bits(f"{sum(1 << bit for bit in bits):x}") == parse_fault_bits(list(bits)) == sorted(bits)


def active(faults: Faults, *reports: tuple[int, StateReport]) -> list[tuple[str, int, bool]]:
    for at, body in reports:
        update_faults(faults, body, BAGGER_FAULTS, at=at)
    return [(fault.code, fault.since, fault.first_out) for fault in faults.active]


def bits(*numbers: int) -> StateReport:
    return StateReport(state="fault", fault_bits=list(numbers))


def test_the_first_stopping_fault_is_first_out_and_stays_it() -> None:
    faults = Faults()
    assert active(faults, (1, bits(7)), (2, bits(7, 5)), (3, bits(0, 5, 7))) == [
        ("WARN", 1, False),
        ("INFEED", 2, True),
        ("E-STOP", 3, False),
    ]
    assert active(faults, (4, bits(0, 7))) == [("WARN", 1, False), ("E-STOP", 3, True)]


def test_information_is_never_a_fault() -> None:
    assert active(Faults(), (1, bits(29))) == []


def test_a_fault_unknown_to_the_catalogue_stops_the_machine() -> None:
    assert active(Faults(), (1, bits(40))) == [("bit40", 1, True)]
    assert active(Faults(), (1, StateReport(state="fault", fault_codes=["E7", "E7"]))) == [("E7", 1, True)]


def test_a_report_without_faults_clears_them() -> None:
    assert active(Faults(), (1, bits(0)), (2, StateReport(state="running"))) == []


def test_active_faults_are_bounded() -> None:
    assert len(active(Faults(), (1, bits(*range(256))))) == MAX_ACTIVE


STOPS = Faults([ActiveFault("E", "E", 1, stops=True, cause="internal", first_out=True)])
STARVED = Faults([ActiveFault("I", "I", 1, stops=True, cause="starved", first_out=True)])
WARNS = Faults([ActiveFault("W", "W", 1, stops=False, cause="internal")])


@pytest.mark.parametrize(
    ("signals", "faults", "expected"),
    [
        ({"word": "running"}, None, ("running", None)),
        ({"word": "running", "speed": 2.0, "rated_speed": 100.0}, None, ("stopped", "unknown")),  # 2 % is not over 2 %
        ({"word": "running", "speed": 2.1, "rated_speed": 100.0}, None, ("running", None)),
        ({"word": "running", "speed": 0.0}, None, ("running", None)),  # rated speed unknown: the word alone decides
        ({"word": "running"}, WARNS, ("running", None)),
        ({"word": "running"}, STOPS, ("fault", "internal")),
        ({"word": "running"}, STARVED, ("fault", "starved")),
        ({"word": "stopped"}, STOPS, ("fault", "internal")),
        ({"word": "maintenance"}, STOPS, ("maintenance", None)),
        ({"word": "fault"}, None, ("fault", "internal")),
        ({"word": "running", "planned_stop": True}, None, ("stopped", "planned")),
        ({"word": "stopped"}, None, ("stopped", "unknown")),
        ({"word": "idle", "upstream_stop": True}, None, ("idle", "starved")),
        ({"word": "idle", "downstream_stop": True}, None, ("idle", "blocked")),
        ({"word": "stopped", "word_cause": "internal", "upstream_stop": True}, None, ("stopped", "internal")),
        # Held is internal by its family; the machine itself reports that it was intended.
        ({"word": "stopped", "word_cause": "internal", "planned_stop": True}, None, ("stopped", "planned")),
        (
            {"word": "stopped", "word_cause": "internal", "upstream_stop": True, "planned_stop": True},
            None,
            ("stopped", "planned"),
        ),
        ({"word": "stopped", "word_cause": "internal", "planned_stop": True}, STOPS, ("fault", "internal")),
        ({"word": "stopped", "upstream_stop": True, "downstream_stop": True}, None, ("stopped", "starved")),
        ({"word": "stopped", "downstream_stop": True, "planned_stop": True}, None, ("stopped", "blocked")),
    ],
)
def test_judge(signals: dict[str, object], faults: Faults | None, expected: tuple[Status, StatusCause | None]) -> None:
    machine_signals = MachineSignals(**{"word_cause": None, **signals})  # type: ignore[arg-type]
    assert derive_status(machine_signals, faults or Faults()) == expected


def view(name: str, status: Status, cause: StatusCause | None = None, *, decides: bool = True) -> MachineView:
    return MachineView(equipment=name, status=status, cause=cause, reason_code=None, faults=(), decides=decides)


def test_a_line_is_as_bad_as_its_worst_deciding_machine() -> None:
    for index, status in enumerate(WORST_FIRST):
        for better in WORST_FIRST[index:]:
            assert diagnose([view("a", better), view("b", status)]).status == status


def test_a_machine_that_does_not_decide_is_considered_only_as_a_culprit() -> None:
    diagnosis = diagnose([view("a", "fault", "internal", decides=False), view("b", "idle", "starved")])
    assert (diagnosis.status, diagnosis.equipment, diagnosis.cause, diagnosis.cause_equipment) == (
        "idle",
        "b",
        "upstream",
        "a",
    )
    assert diagnose([view("a", "fault", decides=False), view("b", "running")]).cause_equipment is None


def test_of_two_deciding_machines_in_fault_the_first_in_the_flow_is_the_culprit() -> None:
    flow = [view("a", "running"), view("b", "fault", "internal"), view("c", "fault", "internal")]
    assert diagnose(flow).cause_equipment == "b"


@pytest.mark.parametrize(("faulted", "cause"), [(0, "upstream"), (1, "internal"), (2, "downstream")])
def test_an_unknown_cause_is_inferred_from_where_the_fault_is(faulted: int, cause: str) -> None:
    flow = [view("a", "running", decides=False), view("b", "stopped", "unknown"), view("c", "running", decides=False)]
    flow[faulted] = view("abc"[faulted], "fault", "internal", decides=faulted == 1)
    diagnosis = diagnose(flow)
    assert (diagnosis.cause, diagnosis.cause_equipment) == (cause, "abc"[faulted])


def test_a_planned_stop_has_no_culprit() -> None:
    for status, reason in (("maintenance", None), ("setup", None), ("stopped", "planned")):
        flow = [view("a", "fault", "internal", decides=False), view("b", status, reason)]  # type: ignore[arg-type]
        assert diagnose(flow).cause_equipment is None


def test_a_line_without_deciding_machines_is_unknown() -> None:
    assert diagnose([view("a", "running", decides=False)]).status == "offline"
