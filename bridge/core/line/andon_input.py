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
    pressed_at: Millis | None = None

    def is_bounce(self, at: Millis, debounce_ms: int) -> bool:
        """Tell whether a press now belongs to the last one; of the distance, so that a stepped clock cannot mute it."""
        return self.pressed_at is not None and abs(at - self.pressed_at) <= debounce_ms


def read_input(
    contact: Contact,
    *,
    level: bool,
    kind: Literal["momentary", "latching"],
    call_open: bool,
    at: Millis,
    debounce_ms: int,
) -> Reading:
    """Observe a level and say what it means; a press is not yet marked on the contact."""
    before, contact.level = contact.level, level
    if not level:
        return Reading.UNCHANGED if before is False else Reading.RELEASED
    if kind == "latching" and not call_open:
        return Reading.NOT_RELEASED if before else Reading.PRESSED
    if before:
        return Reading.UNCHANGED
    if before is None:
        return Reading.UNOBSERVED_EDGE
    # once the call is over somebody was there in between: the next press is not that one's bounce
    if call_open and contact.is_bounce(at, debounce_ms):
        if kind == "momentary":  # a late copy of the press has no release after it, and must not hide the next one
            contact.level = False
        return Reading.DEBOUNCED
    return Reading.PRESSED
