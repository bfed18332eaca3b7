"""Reports that only their `ts` could tell apart: an equal one is a resend only where that is proven."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.line.device.timestamp_trail import FAR_MS, TimestampTrail
from bridge.domain.line.floor import Floor
from bridge.domain.records import JournalEntry
from tests.support.driven_intake import driven_intake, take
from tests.support.packing_line import T0, plant_file

STATION = "report/north/pack/L1/desk/andon"
MACHINE = "report/north/pack/L1/bagger/state"


class TimedIntake:
    """An intake of messages at seconds since T0."""

    def __init__(self) -> None:
        self.entries = list[JournalEntry]()
        self._intake = driven_intake(Floor(plant_file()), doubt_ms=1_000)

    def take(self, topic: str, body: dict[str, object], *, at: float, redelivered: bool = False) -> str | None:
        """Return why it has no effect."""
        payload, now = json.dumps(body).encode(), T0 + round(at * 1000)
        generation = 2 if redelivered else 1
        entry = take(self._intake, topic, payload, now=now, redelivered=redelivered, generation=generation)
        self.entries.append(entry)
        return entry.disposition.reason

    def take_all(self, topic: str, bodies: Sequence[dict[str, object]], *, pause: float) -> list[str | None]:
        return [self.take(topic, body, at=index * pause) for index, body in enumerate(bodies)]


def act(action: str, ts: object) -> dict[str, object]:
    return {"action": action, "andon_type": "safety", "ts": ts}


@pytest.mark.parametrize("ts", ["1970-01-01T00:00:00", 0, 30_000, 0.5, "nonsense", T0, T0 + 500])
@pytest.mark.parametrize("pause", [0.3, 10.0])
def test_a_stopped_clock_hides_no_call(ts: object, pause: float) -> None:
    intake = TimedIntake()
    presses = [act("raise", ts), act("resolve", ts)] * 5
    assert intake.take_all(STATION, presses, pause=pause) == [None] * 10


@pytest.mark.parametrize("ts", [T0 // 1000 * 1000, "2026-01-05T09:00:00Z", "2026-01-05T10:00:00", T0 / 1000])
def test_a_clock_of_whole_seconds_hides_no_change_within_one(ts: object) -> None:
    intake = TimedIntake()
    states: list[dict[str, object]] = [{"state": state, "ts": ts} for state in ("running", "stopped", "running")]
    assert intake.take_all(MACHINE, states, pause=0.2) == [None] * 3


def test_presses_of_a_clock_of_whole_seconds_are_debounced() -> None:
    intake = TimedIntake()
    press = act("raise", T0 + 1_000)
    assert intake.take_all(STATION, [press, press, press], pause=0.3) == [None, "debounced", "debounced"]


@pytest.mark.parametrize("redelivered", [True, False])
def test_a_resend_is_known_once_the_clock_has_moved_on(*, redelivered: bool) -> None:
    intake = TimedIntake()
    for second, state in ((1, "running"), (5, "stopped")):
        intake.take(MACHINE, {"state": state, "ts": T0 + 1_000 * second}, at=second)
    again = {"state": "running", "ts": T0 + 1_000}
    assert intake.take(MACHINE, again, at=9, redelivered=redelivered) == "duplicate"


@pytest.mark.parametrize("fraction", [0, 0.25])
def test_a_press_that_others_overtook_is_a_call_where_the_clock_has_whole_seconds(fraction: float) -> None:
    """Two equal presses within one second, of which the second one is late; with fractions it is the same press."""
    intake = TimedIntake()
    for second in (1, 3, 5.5 if fraction else 5):
        intake.take(STATION, {"input": False, "ts": T0 + round(1_000 * (second + fraction))}, at=second)
    ts = T0 + round(1_000 * (10 + fraction))
    assert intake.take(STATION, act("raise", ts), at=10) is None
    assert intake.take(STATION, act("resolve", ts + round(1_000 * fraction)), at=10.5) is None
    assert intake.take(STATION, act("acknowledge", ts + 1_000), at=11) == "unknown_call"
    assert intake.take(STATION, act("raise", ts), at=13) == ("duplicate" if fraction else None)


@pytest.mark.parametrize(
    ("source", "kind", "body"),
    [
        ("_", "job", {"action": "assign", "job_id": "J1", "product": "crisps", "target_quantity": 9}),
        ("_", "changeover", {"action": "start", "to_product": "nuts"}),
        ("bagger", "inspection", {"inspected": 3, "defects": 1}),
    ],
)
def test_a_repeated_report_is_a_duplicate_once_the_clock_has_moved_on(
    source: str, kind: str, body: dict[str, object]
) -> None:
    """A resent job would be made twice, and a resent inspection would count its pieces twice."""
    intake = TimedIntake()
    place = f"report/north/pack/L1/{source}"
    assert intake.take(f"{place}/{kind}", {**body, "ts": T0 + 1_000}, at=1) is None
    intake.take(f"{place}/birth", {"ts": T0 + 5_000}, at=5)
    assert intake.take(f"{place}/{kind}", {**body, "ts": T0 + 1_000}, at=9) == "duplicate"


def test_a_resend_right_after_is_known_where_the_clock_was_seen_to_tick() -> None:
    intake = TimedIntake()
    for index in range(4):
        intake.take(MACHINE, {"state": "running", "ts": T0 + 1_001 * index}, at=1.001 * index)
    assert intake.take(MACHINE, {"state": "running", "ts": T0 + 3_003}, at=4) == "duplicate"


def test_a_resend_of_a_clock_that_proves_nothing_is_known_by_the_brokers_mark() -> None:
    intake = TimedIntake()
    intake.take(STATION, act("raise", 30_000), at=1)
    assert intake.take(STATION, act("raise", 30_000), at=2, redelivered=True) == "duplicate"


def test_a_clock_that_starts_at_the_same_instant_after_each_power_off_hides_no_call() -> None:
    """Without a battery: the second life of the station repeats the times of the first."""
    intake = TimedIntake()
    life = [act("raise", 30_250), act("resolve", 90_750), act("raise", 400_001), act("resolve", 500_003)]
    assert intake.take_all(STATION, life * 3, pause=60.0) == [None] * 12


@given(
    advances=st.lists(st.sampled_from([0, 0, 1_000, 2_000, -1_000, 13, -5_000]), min_size=1, max_size=40),
    far=st.booleans(),
)
def test_a_stopped_clock_or_one_of_whole_seconds_proves_no_repeat_of_its_latest(
    advances: list[int], *, far: bool
) -> None:
    """Its latest `ts` is proof only after two successive steps with a fraction of a second."""
    stamp, ts, at = TimestampTrail(), T0 - (FAR_MS + 10**6 if far else 0), T0
    steps: list[int] = []
    for index, advance in enumerate(advances):
        ts, at = ts + advance, at + 1_000
        stamp.record(ts, index + 1, received_at=at)
        steps.append(advance)
        if stamp.is_proven_repeat(ts, received_at=at):
            assert not far
            since = max((number for number, step in enumerate(steps) if step <= 0), default=-1)
            assert len([step for step in steps[max(since, 0) + 1 :] if step % 1000]) >= 2


BIRTH = "report/north/pack/L1/bagger/birth"


@pytest.mark.parametrize("clock", ["near", "never set", "stands"])
@pytest.mark.parametrize("died", [False, True])
def test_a_copy_of_a_birth_without_seq_comes_after_what_was_stored_before_it(clock: str, *, died: bool) -> None:
    """The stored reports, then two of the start itself; the copy is of that start, unless the device died since."""
    intake, clock_start = TimedIntake(), {"near": T0, "never set": 200_000, "stands": T0}[clock]

    def payload(index: int, **body: object) -> dict[str, object]:
        return {"boot_id": 5, "ts": clock_start if clock == "stands" else clock_start + index * 30_137, **body}

    birth = payload(4)
    reasons = [intake.take(BIRTH, birth, at=130)]
    reasons += [
        intake.take(MACHINE, payload(index, state="running"), at=130.001 + index / 1000) for index in (1, 2, 3, 4)
    ]
    reasons.append(intake.take(MACHINE, payload(4, state="running", speed=9), at=130.006))
    assert reasons == [None] * 6
    if died:
        intake.take("report/north/pack/L1/bagger/death", {"boot_id": 5}, at=131)
    assert intake.take(BIRTH, birth, at=133) == ("duplicate" if clock != "stands" and not died else None)


@pytest.mark.parametrize("earlier", [(), (-31_536_000,), (-31_536_000, -15_000_000)])
@pytest.mark.parametrize(
    ("topic", "bodies"),
    [
        (MACHINE, [{"state": "idle"}, {"state": "running"}, {"state": "fault"}]),
        (STATION, [{"action": "raise", "andon_type": "safety"}, {"action": "resolve", "andon_type": "safety"}] * 2),
    ],
)
def test_a_start_from_the_same_date_is_applied_whatever_the_clock_was_before(
    topic: str, bodies: list[dict[str, object]], earlier: tuple[int, ...]
) -> None:
    """Without a battery the clock starts at its firmware's date, of which there may have been older ones."""
    intake, clock_start = TimedIntake(), T0 - 10**11
    for index, seconds in enumerate(earlier):
        body = {"boot_id": "b", "ts": clock_start + 1_000 * seconds, **bodies[0]}
        assert intake.take(topic, body, at=10 * index) is None
    life = [{"boot_id": "b", "ts": clock_start + 5_000 + 30_137 * index, **body} for index, body in enumerate(bodies)]
    for start in (600, 800):
        assert [intake.take(topic, body, at=start + 31 * index) for index, body in enumerate(life)] == [None] * len(
            life
        )


@pytest.mark.parametrize("waited", [70, 150, 3_000])
@pytest.mark.parametrize("again", [1, 2, 3])
def test_a_start_while_reports_waited_in_the_broker_is_applied(waited: int, again: int) -> None:
    """They arrive at once: the age of the latest one is unknown."""
    intake = TimedIntake()

    def payload(index: int) -> dict[str, object]:
        return {"boot_id": "b", "ts": 10_000 + 60_137 * index, "state": ("running", "idle")[index % 2]}

    assert [intake.take(MACHINE, payload(index), at=60.137 * index) for index in range(5)] == [None] * 5
    arrival = 241 + waited
    assert intake.take(MACHINE, payload(5), at=arrival) is None
    assert intake.take(MACHINE, payload(again), at=arrival + 0.01) is None


def test_a_clock_that_begins_at_the_same_instant_hides_no_next_start() -> None:
    """A birth equal to the one before is the next start where nothing shows that the clock came back to it."""
    intake = TimedIntake()
    starts = [intake.take(BIRTH, {"boot_id": 1, "ts": 1_500}, at=at) for at in (0, 20, 40)]
    assert starts == [None, None, None]


def test_a_device_that_sends_everything_twice_is_understood() -> None:
    intake = TimedIntake()
    reasons = [
        intake.take(MACHINE, {"state": "running", "ts": T0 + 1_001 * (n // 2)}, at=0.5005 * n) for n in range(12)
    ]
    assert reasons == [None] * 5 + [("duplicate", None)[n % 2] for n in range(7)]


def test_a_clock_that_stops_after_it_ran_hides_no_later_call() -> None:
    intake = TimedIntake()
    for index in range(4):
        intake.take(STATION, act("raise", T0 + 10_001 * index), at=10.001 * index)
    assert intake.take(STATION, act("raise", T0 + 30_003), at=40) == "duplicate"
    assert intake.take(STATION, act("raise", T0 + 30_003), at=100) is None


def test_two_contents_with_one_ts_prove_nothing() -> None:
    stamp = TimestampTrail()
    for index, ts in enumerate((T0 + 1, T0 + 1_002, T0 + 2_003)):
        stamp.record(ts, index, received_at=ts)
    assert stamp.is_proven_repeat(T0 + 2_003, received_at=T0 + 2_003)
    stamp.record(T0 + 2_003, 99, received_at=T0 + 2_003)
    assert not stamp.is_proven_repeat(T0 + 2_003, received_at=T0 + 2_003)
