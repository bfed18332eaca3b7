"""Contacts of an Andon station: the levels of an input, read as presses. Source: domain.md, «Andon and escalation».

momentary: a press is an observed FALSE -> TRUE. latching: TRUE asks for a call as long as none is open, but after a
call ended the switch must be observed FALSE first. Releasing never ends a call: a broken wire must not clear an alarm.

A level is overtaken if its timestamp is before that of one already received. Either it is late, or the clock was set
back. One such level does not show which: in doubt, a press is counted once more rather than lost. A second one does: if
the lag stays the same, the clock was set back.
"""

from enum import StrEnum
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from bridge.domain.utc_time import Millis

PACE_MS: Final = 2_000  # most by which the lags of successive reports differ, unless one was delayed for long
CLOCK_SET_MS: Final = 60_000  # after this long at one pace, levels are not late: the clock was set back


class LevelReading(StrEnum):
    """The meaning of one observed level; only PRESSED affects the calls."""

    PRESSED = "pressed"
    RELEASED = "released"
    UNCHANGED = "unchanged"
    UNOBSERVED_EDGE = "unobserved_edge"  # TRUE, with no FALSE observed before: the button may have been held for days
    NOT_RELEASED = "not_released"  # still TRUE from the call that ended
    DEBOUNCED = "debounced"


IGNORED_READINGS: Final = frozenset(
    {LevelReading.UNCHANGED, LevelReading.UNOBSERVED_EDGE, LevelReading.NOT_RELEASED, LevelReading.DEBOUNCED}
)


class OvertakenLevel(Struct):
    """An overtaken level that is the last one received from its contact."""

    level: bool
    stamp: Millis
    received_at: Millis
    since: Millis  # arrival of the first in a row of overtaken levels at one pace

    @property
    def lag(self) -> Millis:
        return self.received_at - self.stamp

    def is_same_pace(self, *, device_time: Millis, received_at: Millis) -> bool:
        """Return whether a level came as long after this one as it was made; delayed levels come faster."""
        waited = received_at - self.received_at
        return device_time > self.stamp and abs(device_time - self.stamp - waited) <= min(PACE_MS, waited // 2)


class Contact(Struct, rename={"possible_press_at": "held"}):
    """State of one input: its level, and its last press that counted. Checkpointed."""

    level: bool | None = None  # the latest by the device's clock; FALSE if an overtaken FALSE may be the latest
    stamp: Millis | None = None  # the latest timestamp of a level, until the clock proves to have been set back
    lag: Millis = 0  # from that timestamp to the level's arrival
    overtaken: OvertakenLevel | None = None  # the last level received, if it was overtaken
    pressed_at: Millis | None = None  # arrival of the last press
    pressed_stamp: Millis | None = None  # when that press was made, by the device's own clock
    possible_press_at: Millis | None = None  # time of the last TRUE with no FALSE before it: it may be another press
    gap: bool = False  # such a TRUE came without a timestamp, after missing reports of its device

    def record_press(self, *, received_at: Millis, device_time: Millis | None) -> None:
        self.pressed_at, self.pressed_stamp = received_at, device_time
        self.possible_press_at, self.gap = None, False

    def is_bounce(self, debounce_ms: int, *, call_open: bool, received_at: Millis, device_time: Millis | None) -> bool:
        """Return whether a press is a bounce of the last one, by arrival and by device time, if it has one.

        After the call has ended, a press is not its bounce: somebody was at the station meanwhile. Two presses
        queued for a connection arrive at once. Distances are absolute: a clock that is set hides no press.
        """
        if not call_open or self.pressed_at is None or abs(received_at - self.pressed_at) > debounce_ms:
            return False
        return device_time is None or self.pressed_stamp is None or abs(device_time - self.pressed_stamp) <= debounce_ms

    def observe(
        self, *, level: bool, device_time: Millis | None, received_at: Millis, latest: bool, late: bool, gap: bool
    ) -> "LevelChange":
        """Record a level, and return the change that it shows."""
        change = self._record_level(
            level=level, device_time=device_time, received_at=received_at, latest=latest, late=late
        )
        if change.level and change.before is not False:
            if device_time is None:
                self.gap = self.gap or gap
            else:
                self.possible_press_at = self.stamp
        return change

    def _record_level(
        self, *, level: bool, device_time: Millis | None, received_at: Millis, latest: bool, late: bool
    ) -> "LevelChange":
        previous, self.overtaken = self.overtaken, None
        if device_time is None:
            before, fills_gap = self.level, late and not level and self.gap
            self.level = level and not (late and before is False)  # the known FALSE may have overtaken it
            return LevelChange(before=False if fills_gap else before, level=level or fills_gap, device_time=None)
        if latest or self.stamp is None or device_time >= self.stamp:
            is_released = previous is not None and self._is_after_release(previous, lag=received_at - device_time)
            before = False if is_released else self.level
            self.level, self.stamp, self.lag = level, device_time, received_at - device_time
            return LevelChange(before=before, level=level, device_time=device_time)
        same_pace = previous is not None and previous.is_same_pace(device_time=device_time, received_at=received_at)
        if previous is None or not same_pace:
            self.overtaken = OvertakenLevel(level=level, stamp=device_time, received_at=received_at, since=received_at)
            return self._change_to_overtaken(level=level, device_time=device_time, previous=previous)
        if received_at - previous.since >= CLOCK_SET_MS:
            self.level, self.stamp, self.lag = level, device_time, received_at - device_time
            return LevelChange(before=previous.level, level=level, device_time=device_time)
        self.overtaken = OvertakenLevel(level=level, stamp=device_time, received_at=received_at, since=previous.since)
        self.level = self.level and level
        return LevelChange(before=previous.level, level=level, device_time=device_time)

    def assume_released(self) -> None:
        """Treat the observed TRUE as FALSE: no release may follow it."""
        self.level, self.possible_press_at, self.gap = False, None, False
        if self.overtaken is not None:
            self.overtaken.level = False

    def _is_after_release(self, previous: OvertakenLevel, *, lag: Millis) -> bool:
        """Return whether a level follows an overtaken FALSE: its lag is closer to that one's than to `self.lag`."""
        return not previous.level and abs(lag - previous.lag) <= abs(lag - self.lag)

    def _change_to_overtaken(
        self, *, level: bool, device_time: Millis, previous: OvertakenLevel | None
    ) -> "LevelChange":
        """Return the change to an overtaken level, or from it to a TRUE that overtook it."""
        if level:
            return LevelChange(before=self.level, level=True, device_time=device_time)
        if self._shows_press(device_time):
            return LevelChange(before=False, level=True, device_time=self.possible_press_at)
        # after an overtaken FALSE, the change from it to TRUE is already known
        if previous is not None and not previous.level:
            return LevelChange(before=False, level=False, device_time=device_time)
        before, self.level = self.level, False  # if the clock was set back, this is the latest level
        return LevelChange(before=before, level=False, device_time=device_time)

    def _shows_press(self, released: Millis) -> bool:
        """Return whether a FALSE was made before the possible press, with no counted press in between."""
        if self.possible_press_at is None or released > self.possible_press_at:
            return False
        return self.pressed_stamp is None or not released <= self.pressed_stamp <= self.possible_press_at


class LevelChange(NamedTuple):
    """Two successive levels; `device_time` is that of the second."""

    before: bool | None
    level: bool
    device_time: Millis | None


def read_level(
    contact: Contact,
    *,
    level: bool,
    kind: Literal["momentary", "latching"],
    call_open: bool,
    received_at: Millis,
    device_time: Millis | None = None,
    latest: bool = False,
    late: bool = False,
    gap: bool = False,
    debounce_ms: int,
) -> LevelReading:
    """Observe a level and return its meaning; a press is not yet recorded on the contact.

    `device_time`: when it was made, by the device's clock; does not order it if the sequence shows it is the `latest`.
    `late`: the sequence shows that other reports overtook it, which may be levels of other contacts; `gap`: that some
    before it are missing.
    """
    change = contact.observe(
        level=level, device_time=device_time, received_at=received_at, latest=latest, late=late, gap=gap
    )
    if not change.level:
        return LevelReading.UNCHANGED if change.before is False else LevelReading.RELEASED
    if kind == "latching" and not call_open:
        return LevelReading.NOT_RELEASED if change.before else LevelReading.PRESSED
    if change.before:
        return LevelReading.UNCHANGED
    if change.before is None:
        return LevelReading.UNOBSERVED_EDGE
    if contact.is_bounce(debounce_ms, call_open=call_open, received_at=received_at, device_time=change.device_time):
        if kind == "momentary":  # a late copy of the press has no release after it, and must not hide the next one
            contact.assume_released()
        return LevelReading.DEBOUNCED
    return LevelReading.PRESSED
