"""PackML in its two numberings, against TR88's and OPC 30060's state lists written down once more."""

import pytest

from bridge.domain.line.equipment.packml import STATE_MEANING, STATES, Dialect, mode_of, state_name, status_meaning

TR88 = (
    "clearing stopped starting idle suspended execute stopping aborting aborted holding held unholding suspending "
    "unsuspending resetting completing complete"
)
TMC = (
    "stopped resetting idle starting execute completing complete aborting aborted stopping clearing suspending "
    "suspended unsuspending holding held unholding"
)


def test_the_two_dialects_number_the_same_17_states() -> None:
    assert [STATES["tr88"][number] for number in range(1, 18)] == TR88.split()
    assert [STATES["tmc"][number] for number in range(17)] == TMC.split()
    assert set(STATES["tr88"].values()) == set(STATES["tmc"].values()) == set(STATE_MEANING)


@pytest.mark.parametrize(
    ("dialect", "state", "name"),
    [
        ("tr88", 6, "execute"),
        ("tmc", 6, "complete"),
        ("tmc", 0, "stopped"),
        ("tr88", 0, None),
        ("tr88", 18, None),
        ("tmc", 17, None),
        ("tmc", " Execute ", "execute"),
        ("tr88", "running", None),
    ],
)
def test_state_name(dialect: Dialect, state: int | str, name: str | None) -> None:
    assert state_name(dialect, state) == name


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ("execute", ("running", None)),
        ("suspending suspended unsuspending", ("idle", "unknown")),
        ("holding held", ("stopped", "internal")),
        ("unholding", ("stopped", None)),  # on the way back, after a planned stop as after another
        ("aborting aborted clearing", ("fault", "internal")),
        ("stopped stopping", ("stopped", None)),
        ("idle starting resetting completing complete", ("idle", None)),
    ],
)
def test_meaning_by_family(states: str, expected: tuple[str, str | None]) -> None:
    assert {status_meaning(state, "production") for state in states.split()} == {expected}


def test_the_mode_overrides_the_state() -> None:
    assert status_meaning("execute", "maintenance") == ("maintenance", None)
    assert status_meaning("execute", "setup") == ("setup", None)
    assert status_meaning("execute", "manual") == ("stopped", "internal")


@pytest.mark.parametrize(
    ("number", "mode"),
    [(None, "production"), (1, "production"), (2, "maintenance"), (3, "manual"), (4, "setup"), (5, "production")],
)
def test_a_mode_of_the_machines_own_leaves_the_standards_three(number: int | None, mode: str) -> None:
    assert mode_of(number, {4: "setup"}) == mode


def test_a_machines_own_meaning_overrides_the_standard() -> None:
    assert mode_of(3, {3: "setup"}) == "setup"
