"""How a station's contact is read: from levels of an input to presses. Source: DOMAIN, «Andon and escalation».

momentary: a press is an observed FALSE -> TRUE. latching: TRUE asks for a call as long as none is open, but after a
call ended the switch must be seen FALSE first. Releasing never ends a call: a broken wire must not clear an alarm.
"""

from enum import StrEnum
from typing import Final, Literal

from msgspec import Struct

from bridge.core.events import Millis


class Reading(StrEnum):
    """What one observed level means; all but PRESSED leave the calls alone."""

    PRESSED = "pressed"
    RELEASED = "released"
    UNCHANGED = "unchanged"
    UNOBSERVED_EDGE = "unobserved_edge"  # TRUE, and nobody saw it FALSE before: the button may have been held for days
    NOT_RELEASED = "not_released"  # still TRUE from the call that ended
    DEBOUNCED = "debounced"


WITHOUT_EFFECT: Final = frozenset({Reading.UNCHANGED, Reading.UNOBSERVED_EDGE, Reading.NOT_RELEASED, Reading.DEBOUNCED})


class Contact(Struct):
    """What is remembered of one input: its last observed level, and its last press that counted."""

    level: bool | None = None
    stamp: Millis | None = None  # when that was, by the device's own clock
    released: bool = False  # it is TRUE, and may have been FALSE since
    pressed_at: Millis | None = None
    pressed_stamp: Millis | None = None  # the same by the device's own clock

    def press(self, *, at: Millis, stamped: Millis | None) -> None:
        self.pressed_at, self.pressed_stamp = at, stamped

    def is_bounce(self, debounce_ms: int, *, at: Millis, stamped: Millis | None) -> bool:
        """Tell whether a press now belongs to the last one, by its arrival and by its device's clock if it has one.

        Two presses that waited for a connection arrive at once. Of the distance: a clock that is set mutes no press.
        """
        if self.pressed_at is None or abs(at - self.pressed_at) > debounce_ms:
            return False
        return stamped is None or self.pressed_stamp is None or abs(stamped - self.pressed_stamp) <= debounce_ms


def read_input(
    contact: Contact,
    *,
    level: bool,
    kind: Literal["momentary", "latching"],
    call_open: bool,
    at: Millis,
    stamped: Millis | None = None,
    latest: bool = False,
    debounce_ms: int,
) -> Reading:
    """Observe a level and say what it means; a press is not yet marked on the contact.

    A press with a `stamped` before that of a level seen already may have been released since: the next one is a press.
    Not where the sequence shows that it is the `latest`.
    """
    before, contact.level = contact.level, level
    overtaken = not latest and stamped is not None and contact.stamp is not None and stamped < contact.stamp
    released, contact.released = contact.released, level and overtaken
    contact.stamp = contact.stamp if overtaken or stamped is None else stamped
    if not level:
        return Reading.UNCHANGED if before is False else Reading.RELEASED
    if kind == "latching" and not call_open:
        return Reading.NOT_RELEASED if before else Reading.PRESSED
    if before and not released:
        return Reading.UNCHANGED
    if before is None:
        return Reading.UNOBSERVED_EDGE
    # once the call is over somebody was there in between: the next press is not that one's bounce
    if call_open and contact.is_bounce(debounce_ms, at=at, stamped=stamped):
        if kind == "momentary":  # a late copy of the press has no release after it, and must not hide the next one
            contact.level = False
        return Reading.DEBOUNCED
    return Reading.PRESSED
