"""Topics of the probe of the broker's rules, and what an input on one of them means.

`_canary` and `_probe` are no ids, and no kinds of reports, so no device and no user of a plant has such a topic.
"""

from typing import Final

from bridge.domain.place import Place
from bridge.domain.reports import Disposition, suppressed
from bridge.domain.topic_tree import TopicBranch

CANARY: Final = "_canary"
"""Second level of what the probe may publish under report/ and command/; the third is the stream."""

FORBIDDEN: Final = "_probe"
"""Second level of what nobody may publish under report/ and command/, and only the bridge elsewhere.

Also the last level of what nobody may publish at a place of the plant, and only the bridge under event/.
"""

_REAL_LEVELS: Final = 6

_CANARY_INPUT: Final = suppressed("canary")
_FORGED_INPUT: Final = suppressed("forged")


def canary_topic(branch: TopicBranch, stream: str) -> str:
    """Return the topic of a canary, relative to the root."""
    return f"{branch}/{CANARY}/{stream}"


def forbidden_topic(branch: TopicBranch, token: str) -> str:
    """Return a topic, relative to the root, on which only a client with too many rights, or the bridge, can publish."""
    return f"{branch}/{FORBIDDEN}/{token}"


def real_topic(branch: TopicBranch, place: Place) -> str:
    """Return a topic of the same kind, relative to the root, at a place of the plant."""
    return "/".join((branch, *place.levels(), FORBIDDEN))


def real_filter(branch: TopicBranch) -> str:
    """Return the filter of all these topics of a branch, relative to the root."""
    return f"{branch}/+/+/+/+/{FORBIDDEN}"


def probe_disposition(topic: str) -> Disposition | None:
    """Return the disposition of an input on a topic of the probe, whatever its payload; None on any other topic.

    An input below `_probe`, or with it for its kind, proves that the broker let through what it must refuse.
    """
    levels = topic.split("/", _REAL_LEVELS)
    level = levels[1] if len(levels) > 1 else ""
    if level == CANARY:
        return _CANARY_INPUT
    is_forged = level == FORBIDDEN or (len(levels) == _REAL_LEVELS and levels[-1] == FORBIDDEN)
    return _FORGED_INPUT if is_forged else None
