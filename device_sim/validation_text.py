"""Readable messages for validation errors of TOML files."""

from typing import Final

from pydantic_core import ErrorDetails

from device_sim.suggestion import suggest

RAISED: Final = "Value error, "  # pydantic's prefix to our validators' messages


def describe_error(fault: ErrorDetails) -> str:
    """Return a readable message, in place of pydantic's where that is unclear."""
    context = fault.get("ctx", {})
    if fault["type"] == "union_tag_invalid":
        kinds = [each.strip("'") for each in context["expected_tags"].split(", ")]
        hint = suggest(context["tag"], kinds) or f"\n  kinds: {', '.join(kinds)}"
        return f"no kind is called {context['tag']}{hint}"
    if fault["type"] == "union_tag_not_found":
        return "it has no kind"
    if fault["type"] == "extra_forbidden":
        return "no such field"
    return fault["msg"].removeprefix(RAISED)
