"""Ids: the same texts are ids for the function, for both model libraries and for the simulator."""

from typing import Any

import msgspec
import pytest
from pydantic import TypeAdapter, ValidationError

from bridge.domain.ids import Id, is_id
from bridge.domain.plant import LineId
from device_sim import plant_file as simulated_plant

VALID = ("a", "Z", "0", "L1", "Bagger-1", "a.b_c-d.", "x" * 64)
INVALID = (
    *("", "-a", ".a", "_", "_a", "x" * 65, "a b", "a/b", "+", "a+", "#", "$SYS", "é", "a\u0660", "a\u200b"),
    *("a\n", "x" * 63 + "\n", "x" * 64 + "\n", "\na", "a\nb", "a\r", "a\x00", "a\u2028"),
)


def accepts_pydantic(kind: Any, text: str) -> bool:
    try:
        return bool(TypeAdapter(kind).validate_python(text) == text)
    except ValidationError:
        return False


def accepts_msgspec(text: str) -> bool:
    try:
        return msgspec.convert(text, Id) == text
    except msgspec.ValidationError:
        return False


@pytest.mark.parametrize(
    ("text", "expected"), [*((text, True) for text in VALID), *((text, False) for text in INVALID)]
)
def test_every_part_uses_one_id_pattern(text: str, expected: bool) -> None:  # noqa: FBT001 - the expected answer
    assert is_id(text) is expected
    assert accepts_msgspec(text) is expected
    assert accepts_pydantic(Id, text) is expected
    assert accepts_pydantic(simulated_plant.Id, text) is expected  # it repeats the pattern: it imports nothing of ours


def test_a_line_id_leaves_space_for_the_ids_of_its_subjects() -> None:
    assert accepts_pydantic(LineId, "x" * 40)
    for text in ("x" * 41, "x" * 39 + "\n", "_"):
        assert not accepts_pydantic(LineId, text)
