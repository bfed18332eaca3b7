"""Topics of the probe of the broker's rules, and what an input on one of them means.

`_canary` and `_probe` are no ids, so no place of a plant has such a topic.
"""

from typing import Final

from bridge.domain.reports import Disposition, suppressed
from bridge.domain.topic_tree import TopicBranch

CANARY: Final = "_canary"
"""Second level of what the probe may publish under report/ and command/; the third is the stream."""

FORBIDDEN: Final = "_probe"
"""Second level of what nobody may publish under report/ and command/, and only the bridge elsewhere."""

_CANARY_INPUT: Final = suppressed("canary")
_FORGED_INPUT: Final = suppressed("forged")


def canary_topic(branch: TopicBranch, stream: str) -> str:
    """Return the topic of a canary, relative to the root."""
    return f"{branch}/{CANARY}/{stream}"


def forbidden_topic(branch: TopicBranch, token: str) -> str:
    """Return a topic, relative to the root, on which only a client with too many rights, or the bridge, can publish."""
    return f"{branch}/{FORBIDDEN}/{token}"


def probe_disposition(topic: str) -> Disposition | None:
    """Return the disposition of an input on a topic of the probe, whatever its payload; None on any other topic.

    An input below `_probe` proves that the broker let through what it must refuse.
    """
    level = topic.partition("/")[2].partition("/")[0]
    if level == CANARY:
        return _CANARY_INPUT
    return _FORGED_INPUT if level == FORBIDDEN else None
