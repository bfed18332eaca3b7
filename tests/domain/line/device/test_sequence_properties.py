"""Properties of device sequences: no press is lost, and missing reports are counted exactly."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain import plant
from bridge.domain.line.device.device import Device
from bridge.domain.line.device.state import DeviceState
from bridge.domain.place import Place
from bridge.domain.reports import AndonReport, BirthReport, CountsReport, Disposition, Report, ReportBody, StateReport
from bridge.domain.reports import suppressed as because

MODULI = st.sampled_from([2, 3, 7, 64, 256, 4_096, 2**16, 2**32])


def device(modulus: int) -> Device:
    return Device(DeviceState(), plant.EquipmentConfig(id="bagger", seq_modulus=modulus), ZoneInfo("UTC"))


def offer(target: Device, body: ReportBody, at: int, *, redelivered: bool) -> object:
    place = Place("north", "pack", "L1", "bagger")
    report = Report(place=place, body=body, received_at=at, cause="input:1", redelivered=redelivered)
    outcome = target.place_in_sequence(report)
    return outcome if isinstance(outcome, Disposition) else None


@dataclass
class ErraticDevice:
    """A seeded device that jumps, resends, restarts and uses boot ids again; every body says what it is."""

    random: random.Random
    modulus: int
    boot: int = 0
    count: int = -1
    presses: float = 0.5  # of its reports
    sent: list[ReportBody] = field(default_factory=list)

    def next(self) -> tuple[ReportBody, bool]:
        """Return a report, and whether the broker marks it as sent again."""
        move = self.random.choices(
            (self.plain, self.jump, self.resend, self.reboot, self.repeat_boot, self.restart, self.stand),
            (12, 2, 4, 1, 1, 1, 1),
        )[0]
        return move()

    def plain(self) -> tuple[ReportBody, bool]:
        self.count += 1
        return self.send(), False

    def jump(self) -> tuple[ReportBody, bool]:
        self.count += self.random.choice((2, 5, 130, self.modulus // 2, self.modulus * 9 // 10, 70_000))
        return self.send(), False

    def resend(self) -> tuple[ReportBody, bool]:
        if not self.sent:
            return self.plain()
        back = min(len(self.sent), self.random.choice((1, 2, 5, 40, 200)))
        return self.sent[-back], self.random.random() < 0.5

    def reboot(self) -> tuple[ReportBody, bool]:
        self.boot, self.count = self.boot + 1, 0
        return self.send(BirthReport), False

    def repeat_boot(self) -> tuple[ReportBody, bool]:
        self.boot, self.count = self.random.randrange(self.boot + 1), 0
        return self.send(BirthReport), False

    def restart(self) -> tuple[ReportBody, bool]:
        self.count = self.random.choice((0, 0, 3))
        return self.send(), False

    def stand(self) -> tuple[ReportBody, bool]:
        return self.send(), False

    def send(self, kind: Callable[..., ReportBody] | None = None) -> ReportBody:
        seq = max(self.count, 0) % self.modulus
        if kind is BirthReport:
            body: ReportBody = BirthReport(boot_id=self.boot, seq=seq)
        elif self.random.random() < self.presses:
            body = AndonReport(
                andon_type=self.random.choice(("safety", "stop")), action="raise", boot_id=self.boot, seq=seq
            )
        elif self.random.random() < 0.5:
            body = StateReport(state=self.random.choice(("running", "fault")), boot_id=self.boot, seq=seq)
        else:
            body = CountsReport(total=self.random.randrange(3), boot_id=self.boot, seq=seq)
        self.sent.append(body)
        return body


@given(seed=st.integers(0, 2**32), modulus=MODULI, pauses=st.sampled_from([(100,), (100, 10_000, 61_000)]))
@settings(max_examples=300, deadline=None)
def test_only_a_report_equal_to_one_taken_before_is_a_duplicate(
    seed: int, modulus: int, pauses: tuple[int, ...]
) -> None:
    """And a press has no other way of being without effect."""
    rnd = random.Random(seed)
    target, source, at = device(modulus), ErraticDevice(rnd, modulus), 0
    applied: set[bytes] = set()
    for _ in range(150):
        at += rnd.choice(pauses)
        body, again = source.next()
        content = type(body).__name__.encode() + msgspec.json.encode(body)
        refused = offer(target, body, at, redelivered=again)
        if refused == because("duplicate"):
            assert content in applied
        elif refused is not None:
            assert refused == because("out_of_order")
            assert not isinstance(body, AndonReport)
        applied.add(content)


@given(seed=st.integers(0, 2**32), modulus=st.sampled_from([256, 4_096, 2**16, 2**32]))
@settings(max_examples=200, deadline=None)
def test_no_live_report_is_out_of_order(seed: int, modulus: int) -> None:
    """A device that jumps, restarts and changes its boot id, of which nothing comes late and nothing twice."""
    rnd = random.Random(seed)
    target, source, at = device(modulus), ErraticDevice(rnd, modulus, presses=0.0), 0
    for _ in range(50):
        first = rnd.choices((source.plain, source.jump, source.reboot), (2, 1, 1))[0]
        for move in (first, source.plain, source.plain, source.plain):
            at += 100
            assert offer(target, move()[0], at, redelivered=False) != because("out_of_order")


@given(
    seed=st.integers(0, 2**32),
    modulus=st.sampled_from([256, 4_096, 2**16, 2**32]),
    loss=st.floats(0, 0.6),
    restored=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_missing_reports_are_counted_exactly(seed: int, modulus: int, loss: float, *, restored: bool) -> None:
    """Against what the channel really lost and really delivered late, over reboots, resends, wraps and checkpoints."""
    rnd = random.Random(seed)
    target, at = device(modulus), 0
    lost: list[tuple[int, int]] = []  # (boot, index) of what may still come late
    missing = filled = 0
    boot, index = 1, 0
    offer(target, BirthReport(boot_id=boot, seq=0), at, redelivered=False)
    latest: list[ReportBody] = []
    for _ in range(200):
        at += 100
        if rnd.random() < 0.02:
            boot, index, lost, latest = boot + 1, 0, [], []
            offer(target, BirthReport(boot_id=boot, seq=0), at, redelivered=False)
        elif latest and rnd.random() < 0.1:
            again = rnd.choice(latest[-6:])
            assert offer(target, again, at, redelivered=rnd.random() < 0.5) == because("duplicate")
        elif lost and rnd.random() < 0.1:
            late = rnd.choice([report_key for report_key in lost if index - report_key[1] < 8] or [(0, 0)])
            if late[0]:
                lost.remove(late)
                body = _press(late[1] % modulus, boot)
                assert offer(target, body, at, redelivered=False) is None
                filled += 1
                latest.append(body)
        else:
            index += 1
            dropped = []
            while rnd.random() < loss:
                dropped.append((boot, index))
                index += 1
            if rnd.random() < 0.02:
                skipped = rnd.choice((130, min(modulus, 60_000) * 7 // 10))
                index, latest = index + skipped, []  # with a small modulus such a resend is ambiguous
                missing += skipped
            body = _press(index % modulus, boot)
            assert offer(target, body, at, redelivered=False) is None
            missing += len(dropped)
            lost += dropped
            latest = [*latest, body][-6:]
        if restored:
            state = msgspec.msgpack.decode(msgspec.msgpack.encode(target.state), type=DeviceState)
            target = Device(state, target.spec, target.zone)
    assert (target.state.missed, target.state.filled, target.state.unplaced) == (missing, filled, 0)


def _press(seq: int, boot: int) -> AndonReport:
    return AndonReport(andon_type="safety", action="raise", boot_id=boot, seq=seq)
