"""`floor check` and `floor explain-access`: verdicts on what would be served, without serving it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bridge import settings as settings_module
from bridge.adapters import plant_file, policy_file
from bridge.adapters.broker_probe import probe
from bridge.adapters.clock import wall_ms
from bridge.adapters.journal import JournalInUse, SqliteJournal
from bridge.adapters.tokens import TokenKeyError, TokenVerifier
from bridge.core.access.claims import TokenError
from bridge.core.access.policy import PolicyError
from bridge.core.access.subscriptions import admit_subscription, parse_subscription
from bridge.core.access.targets import SubscriptionError
from bridge.core.access.viewer import AdmissionError, admit
from bridge.core.dashboard.server_frames import explained
from bridge.core.records import JournalError
from bridge.settings import Settings, SettingsError


class CheckError(Exception):
    """The question can't be answered; the text says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    ok: bool
    text: str


async def run(config: Path, *, offline: bool) -> list[Finding]:
    """Check everything the settings name; a finding each, the bad ones with what is wrong and where."""
    try:
        settings = settings_module.load(config)
    except SettingsError as error:
        return [Finding("settings", ok=False, text=str(error))]
    findings = [
        Finding("settings", ok=True, text=str(config)),
        _finding("plant", lambda: _plant(settings)),
        _finding("policy", lambda: _policy(settings)),
        _finding("tokens", lambda: _tokens(settings)),
        _finding("journal", lambda: _journal(settings)),
    ]
    if not offline:
        findings += [
            Finding("broker", ok=each.ok, text=f"{each.name}: {each.text}")
            for each in await probe(settings.broker, root=settings.root)
        ]
    return findings


def explain(settings: Settings, token: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the front's own decision on a subscribe body for a token, as plain data; raises `CheckError`."""
    try:
        claims = TokenVerifier(settings.token).verify(token, now=wall_ms())
        viewer = admit(claims, policy_file.load(settings.policy_file), trust_grants=settings.token.trust_grants_claim)
        selection = parse_subscription(body)
    except TokenError as error:
        raise CheckError(f"{error.public}: {error}") from error
    except (TokenKeyError, PolicyError, AdmissionError, SubscriptionError) as error:
        raise CheckError(str(error)) from error
    decision = msgspec.to_builtins(explained(selection.id, admit_subscription(selection, viewer)))
    return {name: value for name, value in decision.items() if name not in ("type", "id")}


def _finding(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, ok=True, text=check())
    except (plant_file.PlantFileError, PolicyError, TokenKeyError, JournalError) as error:
        return Finding(name, ok=False, text=str(error))


def _plant(settings: Settings) -> str:
    plant = plant_file.load(settings.plant_file)
    machines = sum(len(line.equipment) for line in plant.lines)
    return f"{settings.plant_file}: {plant.name}, {len(plant.lines)} lines, {machines} equipment"


def _policy(settings: Settings) -> str:
    policy = policy_file.load(settings.policy_file)
    return f"{settings.policy_file or 'the one that ships'}: {len(policy.roles)} roles"


def _tokens(settings: Settings) -> str:
    TokenVerifier(settings.token)
    return f"{settings.token.algorithm}, issuer {settings.token.issuer}, audience {settings.token.audience}"


def _journal(settings: Settings) -> str:
    path = settings.journal.path
    if not path.exists():
        return f"{path}: new, made at the first start"
    try:
        journal = SqliteJournal.open(path, stream=settings.stream)
    except JournalInUse:
        return f"{path}: in use by a running bridge"
    try:
        position = journal.position()
    finally:
        journal.close()
    return f"{path}: stream {position.stream}, epoch {position.epoch}, offset {position.offset}"
