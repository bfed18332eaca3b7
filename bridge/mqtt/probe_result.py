"""Results of the probe of the broker's access rules."""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from bridge.domain.place import Place


class ProbeCheck(StrEnum):
    """What the probe checks; a label of a metric."""

    CONNECT = "connect"
    SUBSCRIBE = "subscribe"
    OWN_RIGHTS = "own_rights"  # what the bridge and its front publish arrives
    REPORT = "report"  # so does a report of the canary
    COMMAND = "command"  # and a command of the front
    OVER_RIGHTS = "over_rights"  # the bridge may publish no reports and commands
    STRANGER_PUBLISH = "stranger_publish"
    STRANGER_READ = "stranger_read"
    CANARY = "canary"  # there is an identity that may send a report: else REPORT is not tested


class Outcome(Enum):
    PASSED = auto()
    FAILED = auto()
    UNTESTED = auto()


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of one check, with a text that describes it. `places` of the plant: where it failed, if it did."""

    check: ProbeCheck
    outcome: Outcome
    text: str
    places: tuple[Place, ...] = ()


class ProbeUnfinished(Exception):
    """The broker or a connection of the probe went away: there is no verdict. The text gives the reason."""
