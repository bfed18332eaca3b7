"""Reading of the settings: a TOML file, overridden by environment variables `FLOOR_SECTION__NAME`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bridge.domain.toml_text import parse_toml
from bridge.domain.validation_errors import Location, describe_faults, dotted
from bridge.settings.settings import JournalSettings, Settings

CLIENT_VARIABLES = ("FLOOR_CONFIG", "FLOOR_TOKEN", "FLOOR_URL")
"""Environment variables of `floor` and the README's clients that are not settings."""
LIST_SETTINGS = frozenset({"trusted_proxies", "allowed_hosts", "allowed_origins"})


class SettingsError(Exception):
    """The settings cannot be used; the text has a line with file, location and reason for each fault."""


def file_error_reason(error: Exception) -> str:
    """Return why a file cannot be used, without its name, which an `OSError` would repeat."""
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def load_settings(path: Path | None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; raise `SettingsError` that lists every fault. Paths are relative to the file."""
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            tree = parse_toml(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:  # ValueError: not UTF-8, or not acceptable TOML
            raise SettingsError(f"{path}: {file_error_reason(error)}") from error
        tree.setdefault("plant_file", str(Settings.model_fields["plant_file"].default))
        journal = tree.setdefault("journal", {})
        if isinstance(journal, dict):
            journal.setdefault("path", str(JournalSettings.model_fields["path"].default))
        _resolve_paths(tree, path.parent)
    variables = _apply_environment(tree, os.environ if environment is None else environment)
    _read_passwords(tree.get("broker"))
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        source = str(path) if path is not None else "settings"
        faults = describe_faults(Settings, error)
        if "token" not in tree:
            faults = [(location, _NO_KEY if location == ("token",) else text) for location, text in faults]
        raise SettingsError(
            "\n".join(f"{_source(at, variables) or source}: {dotted(at) or 'settings'}: {text}" for at, text in faults)
        ) from error


_NO_KEY = "set token.secret_file, token.secret or token.public_key_file"


def _source(location: Location, variables: Mapping[Location, str]) -> str | None:
    """Return the environment variable that a location's value comes from."""
    return next((name for at, name in variables.items() if location[: len(at)] == at), None)


def _apply_environment(tree: dict[str, Any], environment: Mapping[str, str]) -> dict[Location, str]:
    """Override settings by environment variables; return the location that each of them sets."""
    variables: dict[Location, str] = {}
    for name, value in sorted(environment.items()):
        if not name.startswith("FLOOR_") or name in CLIENT_VARIABLES:
            continue
        *sections, leaf = name.removeprefix("FLOOR_").lower().split("__")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
            if not isinstance(branch, dict):
                raise SettingsError(f"{name}: `{section}` is a value in the settings file, not a section")
        branch[leaf] = value.split(",") if leaf in LIST_SETTINGS else value
        variables[*sections, leaf] = name
    return variables


def _read_passwords(broker: object) -> None:
    for name in ("password", "front_password", "canary_password"):
        if not isinstance(broker, dict) or f"{name}_file" not in broker:
            continue
        path = broker[f"{name}_file"]
        if not isinstance(path, str) or "\0" in path:
            continue  # the model reports it
        if name in broker:
            raise SettingsError(f"broker: give {name} or {name}_file, not both")
        try:
            broker[name] = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"broker.{name}_file {path}: {file_error_reason(error)}") from error


def _resolve_paths(tree: dict[str, Any], folder: Path) -> None:
    for name, value in tree.items():
        if isinstance(value, dict):
            _resolve_paths(value, folder)
        elif isinstance(value, str) and (name.endswith("_file") or name == "path"):
            tree[name] = str(folder / value)
