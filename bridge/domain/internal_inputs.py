"""Inputs that the bridge itself enters: its plant file, absences without monitoring, and steps of the host's clock.

They are journalled like messages, so a replay applies them at the same position. No message has such a topic.
"""

from typing import Any, Final, Literal, Self

import msgspec
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bridge.domain.plant import Plant
from bridge.domain.records import CONFIG_PREFIX, PRESENCE_PREFIX
from bridge.domain.utc_time import Millis

PLANT_TOPIC: Final = f"{CONFIG_PREFIX}plant"
"""The topic of an input that is a plant file."""

ABSENCE_TOPIC: Final = f"{PRESENCE_PREFIX}absence"
"""The topic of an input that states since when the floor was not monitored."""

CLOCK_TOPIC: Final = f"{PRESENCE_PREFIX}clock"
"""The topic of an input that states by how much the host's clock was set forward, up to the input's arrival."""

SHORTEST_ABSENCE_MS: Final = 10_000
"""A shorter restart is no absence: the broker queues what is sent meanwhile, and the known state stays valid."""


class InternalInput(msgspec.Struct, frozen=True, kw_only=True):
    """Payload of an internal input, as JSON."""

    def encode(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Decode what `encode` returned; raise msgspec.MsgspecError for anything else."""
        return msgspec.json.decode(payload, type=cls)


class BridgeAbsence(InternalInput, frozen=True, kw_only=True):
    """A time without monitoring, from `since` to the input's arrival; for each machine, until it reports.

    `restart`: the bridge did not run. `link`: the connection to the broker was lost at `since`.
    """

    since: Millis
    reason: Literal["restart", "link"]


class ClockStep(InternalInput, frozen=True, kw_only=True):
    """A step of the host's clock, set forward by `by` ms. That time did not pass on the floor."""

    by: Millis


def plant_to_json(plant: Plant) -> bytes:
    """Return a plant as the payload of an input, fault catalogues included, without the fields that the file omits.

    Comments in the file and the order of its fields do not affect the text.
    """
    return plant.model_dump_json(exclude_unset=True).encode()


def plant_from_json(payload: bytes) -> Plant:
    """Parse what `plant_to_json` returned; raise pydantic.ValidationError for an incompatible version's text.

    A number outside its bounds, which an earlier version accepted, becomes the nearest one within: the journal opens.
    """
    try:
        return Plant.model_validate_json(payload)
    except ValidationError as error:
        tree = msgspec.json.decode(payload)
        for fault in error.errors():
            _move_into_bounds(tree, fault)
        return Plant.model_validate_json(msgspec.json.encode(tree))


def _move_into_bounds(tree: Any, fault: ErrorDetails) -> None:
    """Replace the number that a fault names by the bound in the fault, if it is one of a bound."""
    bound = {"greater_than_equal": "ge", "less_than_equal": "le"}.get(fault["type"])
    if bound is None:
        return
    *path, name = fault["loc"]
    for key in path:
        tree = tree[key]  # the plant file has no union, of which the location would name a case
    tree[name] = fault["ctx"][bound]
