"""How a station's contact is read: from levels of an input to presses. Source: DOMAIN, «Andon and escalation».

momentary: a press is an observed FALSE -> TRUE. latching: TRUE asks for a call as long as none is open, but after a
call ended the switch must be seen FALSE first. Releasing never ends a call: a broken wire must not clear an alarm.

A level is overtaken where its stamp is before that of one seen already. It is late, or the clock was set back. One
such level cannot tell: a press is taken once more rather than lost. A second one can, by the lag that stays.
"""

from enum import StrEnum
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from bridge.domain.events import Millis

PACE_MS: Final = 2_000  # by which the lag of one report differs from that of the next, unless one waited for long
CLOCK_SET_MS: Final = 60_000  # after so long at one pace they are not late: the clock was set back


class LevelReading(StrEnum):
    """What one observed level means; all but PRESSED leave the calls alone."""

    PRESSED = "pressed"
    RELEASED = "released"
    UNCHANGED = "unchanged"
    UNOBSERVED_EDGE = "unobserved_edge"  # TRUE, and nobody saw it FALSE before: the button may have been held for days
    NOT_RELEASED = "not_released"  # still TRUE from the call that ended
    DEBOUNCED = "debounced"


IGNORED_READINGS: Final = frozenset(
    {LevelReading.UNCHANGED, LevelReading.UNOBSERVED_EDGE, LevelReading.NOT_RELEASED, LevelReading.DEBOUNCED}
)


class OvertakenLevel(Struct):
    """A level that was overtaken, where nothing of its contact came since."""

    level: bool
    stamp: Millis
    received_at: Millis
    since: Millis  # arrival of the first overtaken one in a row that keep pace

    @property
    def lag(self) -> Millis:
        return self.received_at - self.stamp

    def is_same_pace(self, *, device_time: Millis, received_at: Millis) -> bool:
        """Tell whether a level came as long after this one as it was made: what was late comes faster than that."""
        waited = received_at - self.received_at
        return device_time > self.stamp and abs(device_time - self.stamp - waited) <= min(PACE_MS, waited // 2)


class Contact(Struct):
    """What is remembered of one input: its level, and its last press that counted. Checkpointed."""

    level: bool | None = None  # the last by the device's clock; FALSE where an overtaken FALSE may be the last
    stamp: Millis | None = None  # the latest that a level had, until the clock is known to have been set back
    lag: Millis = 0  # of the arrival of that level behind it
    overtaken: OvertakenLevel | None = None  # the level that came last, if it was
    pressed_at: Millis | None = None  # when it came
    pressed_stamp: Millis | None = None  # when it was made, by the device's own clock
    held: Millis | None = None  # when the last TRUE was made that may be another press: no FALSE was seen before it
    gap: bool = False  # there was such a TRUE without a stamp, and reports of its device were missing before it

    def record_press(self, *, received_at: Millis, device_time: Millis | None) -> None:
        self.pressed_at, self.pressed_stamp = received_at, device_time
        self.held, self.gap = None, False

    def is_bounce(self, debounce_ms: int, *, received_at: Millis, device_time: Millis | None) -> bool:
        """Tell whether a press now belongs to the last one, by its arrival and by its device's clock if it has one.

        Two presses that waited for a connection arrive at once. Of the distance: a clock that is set mutes no press.
        """
        if self.pressed_at is None or abs(received_at - self.pressed_at) > debounce_ms:
            return False
        return device_time is None or self.pressed_stamp is None or abs(device_time - self.pressed_stamp) <= debounce_ms

    def observe(
        self, *, level: bool, device_time: Millis | None, received_at: Millis, latest: bool, late: bool, gap: bool
    ) -> "LevelChange":
        """Take a level, and return the step that it shows."""
        step = self._take(level=level, device_time=device_time, received_at=received_at, latest=latest, late=late)
        if step.level and step.before is not False:
            self.held, self.gap = (self.held, self.gap or gap) if device_time is None else (self.stamp, self.gap)
        return step

    def _take(
        self, *, level: bool, device_time: Millis | None, received_at: Millis, latest: bool, late: bool
    ) -> "LevelChange":
        previous, self.overtaken = self.overtaken, None
        if device_time is None:
            before, fills_gap = self.level, late and not level and self.gap
            self.level = level and not (late and before is False)  # the FALSE may be what overtook it
            return LevelChange(before=False if fills_gap else before, level=level or fills_gap, device_time=None)
        if latest or self.stamp is None or device_time >= self.stamp:
            is_released = previous is not None and self._is_after_release(previous, lag=received_at - device_time)
            before = False if is_released else self.level
            self.level, self.stamp, self.lag = level, device_time, received_at - device_time
            return LevelChange(before=before, level=level, device_time=device_time)
        paced = previous is not None and previous.is_same_pace(device_time=device_time, received_at=received_at)
        if previous is None or not paced:
            self.overtaken = OvertakenLevel(level=level, stamp=device_time, received_at=received_at, since=received_at)
            return self._overtake(level=level, device_time=device_time, previous=previous)
        if received_at - previous.since >= CLOCK_SET_MS:
            self.level, self.stamp, self.lag = level, device_time, received_at - device_time
            return LevelChange(before=previous.level, level=level, device_time=device_time)
        self.overtaken = OvertakenLevel(level=level, stamp=device_time, received_at=received_at, since=previous.since)
        self.level = self.level and level
        return LevelChange(before=previous.level, level=level, device_time=device_time)

    def assume_released(self) -> None:
        """Take the TRUE that was observed for FALSE: nothing may release it."""
        self.level, self.held, self.gap = False, None, False
        if self.overtaken is not None:
            self.overtaken.level = False

    def _is_after_release(self, previous: OvertakenLevel, *, lag: Millis) -> bool:
        """Tell whether a level follows an overtaken FALSE of one clock: it is rather as late as that than as before."""
        return not previous.level and abs(lag - previous.lag) <= abs(lag - self.lag)

    def _overtake(self, *, level: bool, device_time: Millis, previous: OvertakenLevel | None) -> "LevelChange":
        """Return the step to a level that was overtaken, or from it to a TRUE that overtook it."""
        if level:
            return LevelChange(before=self.level, level=True, device_time=device_time)
        if self._shows_press(device_time):
            return LevelChange(before=False, level=True, device_time=self.held)
        if previous is not None and not previous.level:
            return LevelChange(
                before=False, level=False, device_time=device_time
            )  # the step from that to TRUE is known already
        before, self.level = self.level, False  # where the clock was set back, this is the latest level
        return LevelChange(before=before, level=False, device_time=device_time)

    def _shows_press(self, released: Millis) -> bool:
        """Tell whether a FALSE was made before the TRUE that nobody saw released, and not before the last press."""
        if self.held is None or released > self.held:
            return False
        return self.pressed_stamp is None or not released <= self.pressed_stamp <= self.held


class LevelChange(NamedTuple):
    """Two levels, one after the other; `stamped`: the second."""

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
    """Observe a level and say what it means; a press is not yet marked on the contact.

    `stamped`: when it was made, by the device's clock; of no use where the sequence shows that it is the `latest`.
    `late`: the sequence shows that other reports overtook it, which may be levels of other contacts; `gap`: that some
    before it are missing.
    """
    step = contact.observe(
        level=level, device_time=device_time, received_at=received_at, latest=latest, late=late, gap=gap
    )
    if not step.level:
        return LevelReading.UNCHANGED if step.before is False else LevelReading.RELEASED
    if kind == "latching" and not call_open:
        return LevelReading.NOT_RELEASED if step.before else LevelReading.PRESSED
    if step.before:
        return LevelReading.UNCHANGED
    if step.before is None:
        return LevelReading.UNOBSERVED_EDGE
    # once the call is over somebody was there in between: the next press is not that one's bounce
    if call_open and contact.is_bounce(debounce_ms, received_at=received_at, device_time=step.device_time):
        if kind == "momentary":  # a late copy of the press has no release after it, and must not hide the next one
            contact.assume_released()
        return LevelReading.DEBOUNCED
    return LevelReading.PRESSED
