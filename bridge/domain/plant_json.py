"""JSON text of a plant file, as an input of the journal."""

from typing import Final

from bridge.domain.plant import Plant
from bridge.domain.records import CONFIG_PREFIX

PLANT_TOPIC: Final = f"{CONFIG_PREFIX}plant"
"""The topic of an input that is a plant file."""


def plant_to_json(plant_file: Plant) -> bytes:
    """Return the plant as JSON, fault catalogues included, without the fields that the file omits.

    Comments in the file and the order of its fields do not affect the text.
    """
    return plant_file.model_dump_json(exclude_unset=True).encode()


def plant_from_json(text: bytes) -> Plant:
    """Parse what `plant_to_json` returned; raise pydantic.ValidationError for an incompatible version's text."""
    return Plant.model_validate_json(text)
