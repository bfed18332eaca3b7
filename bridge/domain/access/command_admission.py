"""Admission of users' commands: where on a line an action is granted. Source: authorization.md, «Commands».

A command names a call or an alert by its id, and only the pipeline knows where that is. So the front does not look it
up: it states at which equipment the action is granted, and the pipeline compares that with the place of the thing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Self

from bridge.domain.access.grants import Allowed, decide
from bridge.domain.access.topic_layout import ANY, action_mask
from bridge.domain.access.viewer import Viewer
from bridge.domain.place import ALL_LEVELS, LINE_LEVEL, Place
from bridge.domain.plant import Plant
from bridge.domain.topics import TopicFilter


class ActsOn(Enum):
    """What an action acts on: its place decides."""

    NAMED = auto()  # the line or equipment that the request names
    LINE = auto()  # the whole line
    BY_ID = auto()  # a call or an alert, at any equipment of the line


def acts_on(action: str) -> ActsOn:
    """Return what one of `ACTIONS` acts on."""
    if action == "andon.raise":
        return ActsOn.NAMED
    return ActsOn.BY_ID if action.partition(".")[0] in ("andon", "quality") else ActsOn.LINE


@dataclass(frozen=True, slots=True)
class PlantPlaces:
    """The lines of a plant file and their equipment, by line id."""

    lines: Mapping[str, Place]
    equipment: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, plant: Plant) -> Self:
        return cls(
            {line.id: plant.place_of(line) for line in plant.lines},
            {line.id: frozenset(item.id for item in line.equipment) for line in plant.lines},
        )


@dataclass(frozen=True, slots=True)
class AdmittedCommand:
    """A command that may be sent to `place`; `granted_at`: sorted equipment levels of the line, or `ALL_LEVELS`."""

    place: Place
    granted_at: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CommandNotGranted:
    """A refused command. `is_unknown`: the plant has no such place, and the grants cover wherever it might be."""

    is_unknown: bool


def admit_command(
    action: str, line_id: str, equipment_code: str | None, viewer: Viewer, places: PlantPlaces
) -> AdmittedCommand | CommandNotGranted:
    """Decide whether, and where on the line, one of `ACTIONS` is granted to a viewer.

    `equipment_code` counts only for an action that acts on what the request names.
    """
    target = acts_on(action)
    equipment = equipment_code if target is ActsOn.NAMED else None
    line = places.lines.get(line_id)
    if line is not None and (equipment is None or equipment in places.equipment[line_id]):
        existing = {LINE_LEVEL, *places.equipment[line_id]}
        granted = viewer.levels_granted(action, line)
        granted_at = {ALL_LEVELS} if ALL_LEVELS in granted else granted & existing
        place = line.with_equipment(equipment)
        if granted_at if target is ActsOn.BY_ID else granted_at & {ALL_LEVELS, place.levels()[3]}:
            return AdmittedCommand(place, tuple(sorted(granted_at)))
    # Who may command it anywhere may know that it is not there. Whoever is not granted a place that exists may not.
    above = (ANY, ANY) if line is None else line.levels()[:2]
    level = ANY if target is ActsOn.BY_ID else equipment or LINE_LEVEL
    anywhere = TopicFilter.parse("/".join((*above, line_id, level, action.partition(".")[0])))
    decision = decide(anywhere, viewer.command_grants, mask=action_mask((action,)))
    return CommandNotGranted(isinstance(decision, Allowed) and not decision.narrowed)
