"""A bound for dicts that keep the latest entries, so that a checkpoint cannot grow without end."""

from typing import Any


def drop_oldest(entries: dict[str, Any], *, limit: int) -> None:
    """Remove the oldest entries, in order of insertion, until at most `limit` are left."""
    while len(entries) > limit:
        del entries[next(iter(entries))]
