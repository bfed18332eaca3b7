"""Section of settings: the base of all settings, and the types that several sections use."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _check_path(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("a path must not contain a NUL character")
    return path


SettingsPath = Annotated[Path, AfterValidator(_check_path)]
Port = Annotated[int, Field(ge=1, le=65535)]
MAX_SECONDS = 86_400
MAX_LIMIT = 10**9  # more than any machine has memory for


class Section(BaseModel):
    """Base of all settings: immutable, without unknown names, infinities and NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
