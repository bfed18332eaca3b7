"""Topics of reports and commands, relative to the root: `{report|command}/{site}/{area}/{line}/{equipment}/{kind}`.

Source: docs/devices.md; design.md, «Message flow».
"""

from typing import Final, NamedTuple

from bridge.domain.place import Place
from bridge.domain.topic_tree import TopicBranch

_LEVELS: Final = 6


class ReportTopic(NamedTuple):
    """The levels of such a topic. Its ids and its kind are as sent, which need not be valid."""

    branch: TopicBranch
    place: Place
    kind: str

    @classmethod
    def parse(cls, text: str) -> "ReportTopic | None":
        """Return the topic's parts; None for one of another branch or depth."""
        levels = text.split("/", _LEVELS)  # at most one more than there may be, however deep the topic is
        if len(levels) != _LEVELS or levels[0] not in (TopicBranch.REPORT, TopicBranch.COMMAND):
            return None
        return cls(TopicBranch(levels[0]), Place.from_levels(levels[1:-1]), levels[-1])
