"""Branches of the MQTT topic tree below the root. Source: design.md, «Message flow»."""

from enum import StrEnum


class TopicBranch(StrEnum):
    """The first level of a topic relative to the root."""

    REPORT = "report"  # of devices
    COMMAND = "command"  # of users, published by a front
    EVENT = "event"
    STATION = "station"  # the lamps of Andon stations
    BRIDGE = "bridge"  # the status of streams

    def prefix(self, root: str) -> str:
        """Return what every topic of this branch begins with, the slash included."""
        return f"{root}/{self.value}/"

    def topic_filter(self, root: str) -> str:
        """Return the filter of all topics of this branch."""
        return f"{root}/{self.value}/#"
