"""States of the delivery to one dashboard, and the steps between them, as a table.

protocol.md, «Order of delivery», shows it as a diagram, which `floor schema --write` generates.
"""

from enum import Enum, auto
from typing import Final


class DeliveryState(Enum):
    """States of a delivery: each says what is sent next, beside answers and the link state."""

    GREETING = auto()  # nothing, until the client's first frame is answered
    FOLLOWING = auto()  # events as they are committed, together with all dashboards of its cohort
    CATCHING_UP = auto()  # events after the cursor, at the pace of the client
    READING_SNAPSHOT = auto()  # nothing: the current events are read
    PRECEDING_SNAPSHOT = auto()  # events up to the position of the snapshot
    WRITING_SNAPSHOT = auto()  # the snapshot, and nothing else
    CHECKING_RESUME = auto()  # nothing: the journal is asked whether it holds what was missed
    ENDED = auto()  # nothing any more


class DeliveryStep(Enum):
    """Steps that lead from one state to another, the inputs of `NEXT_STATE`."""

    PUSH_ENABLED = auto()
    CAUGHT_UP = auto()
    COHORT_LEFT = auto()
    SNAPSHOT_BEGUN = auto()
    SNAPSHOT_READ = auto()
    SNAPSHOT_REACHED = auto()
    SNAPSHOT_OUTDATED = auto()
    SNAPSHOT_DONE = auto()
    RESUME_BEGUN = auto()
    RESUME_CHECKED = auto()
    END = auto()


_State, _Step = DeliveryState, DeliveryStep

NEXT_STATE: Final = {
    (_State.GREETING, _Step.PUSH_ENABLED): _State.CATCHING_UP,
    (_State.CATCHING_UP, _Step.CAUGHT_UP): _State.FOLLOWING,
    (_State.FOLLOWING, _Step.COHORT_LEFT): _State.CATCHING_UP,
    (_State.CATCHING_UP, _Step.SNAPSHOT_BEGUN): _State.READING_SNAPSHOT,
    (_State.READING_SNAPSHOT, _Step.SNAPSHOT_READ): _State.PRECEDING_SNAPSHOT,
    (_State.PRECEDING_SNAPSHOT, _Step.SNAPSHOT_REACHED): _State.WRITING_SNAPSHOT,
    (_State.PRECEDING_SNAPSHOT, _Step.SNAPSHOT_OUTDATED): _State.READING_SNAPSHOT,
    (_State.PRECEDING_SNAPSHOT, _Step.SNAPSHOT_DONE): _State.CATCHING_UP,
    (_State.WRITING_SNAPSHOT, _Step.SNAPSHOT_DONE): _State.CATCHING_UP,
    (_State.CATCHING_UP, _Step.RESUME_BEGUN): _State.CHECKING_RESUME,
    (_State.CHECKING_RESUME, _Step.RESUME_CHECKED): _State.CATCHING_UP,
} | {(state, _Step.END): _State.ENDED for state in _State if state is not _State.ENDED}
