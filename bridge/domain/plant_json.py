"""The plant file as an input of the journal: one text for one plant, whatever file it was written in."""

from typing import Final

from bridge.domain.plant import Plant
from bridge.domain.records import CONFIG_PREFIX

PLANT_TOPIC: Final = f"{CONFIG_PREFIX}plant"
"""The topic of an input that is a plant file."""


def plant_to_json(plant_file: Plant) -> bytes:
    """Return the plant as JSON, its fault catalogues included; what the file leaves out is left out.

    A comment in the file, or another order of its fields, is no change.
    """
    return plant_file.model_dump_json(exclude_unset=True).encode()


def plant_from_json(text: bytes) -> Plant:
    """Read what `text_of` wrote; pydantic.ValidationError for a text of another version that this one cannot read."""
    return Plant.model_validate_json(text)
