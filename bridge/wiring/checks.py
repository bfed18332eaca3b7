"""The checks of `floor check`: everything that the settings name, without serving anything."""

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from bridge.adapters import plant_file, policy_file, revocation_file
from bridge.adapters.tokens import TokenKeyError, TokenVerifier
from bridge.domain.access.policy import PolicyError
from bridge.domain.access.revocations import RevocationsError
from bridge.domain.line.counters.machine_counters import CounterFit
from bridge.domain.line.floor import Floor
from bridge.domain.place import Place
from bridge.http import listener
from bridge.http.hosts import own_names
from bridge.http.peers import is_address, is_loopback
from bridge.ingest.decoders import build_decoders
from bridge.journal.sqlite.errors import JournalInUse, JournalTooOld
from bridge.journal.sqlite.file import require_no_leftovers
from bridge.journal.sqlite.lock_file import JournalLock, read_marker
from bridge.journal.sqlite.reader import SqliteReader
from bridge.mqtt.probe import probe_broker
from bridge.mqtt.probe_result import Outcome, ProbeUnfinished
from bridge.mqtt.tls import TlsFileError, check_tls_files
from bridge.ports.journal import JournalError
from bridge.settings.broker import BrokerSettings
from bridge.settings.load import SettingsError, load_settings
from bridge.settings.settings import Settings
from bridge.wiring.probe_places import ProbePlaces


class CheckError(Exception):
    """A check fails; the text gives the reason."""


FAULTS: Final = (
    *(CheckError, plant_file.PlantFileError, PolicyError, TokenKeyError, RevocationsError, listener.CertificateError),
    *(JournalError, TlsFileError),
)
"""Errors of the files that the settings name; each text gives the file and the reason."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check. `text` describes the thing checked, or the reason and location of a failure."""

    name: str
    ok: bool
    text: str  # of one or more lines


async def run_checks(config: Path, *, offline: bool) -> list[CheckResult]:
    """Check everything the settings name; return one result for each check; a failed one says why and where."""
    try:
        settings = load_settings(config)
    except SettingsError as error:
        return [CheckResult("settings", ok=False, text=str(error))]
    results = [
        CheckResult("settings", ok=True, text=str(config)),
        _run_check("plant", lambda: _plant(settings)),
        _run_check("policy", lambda: _policy(settings)),
        _run_check("tokens", lambda: _tokens(settings)),
        _run_check("web", lambda: _web(settings)),
        _run_check("journal", lambda: _journal(settings)),
        _run_check("broker", lambda: _broker_files(settings.broker)),
    ]
    usable = results[-1].ok
    if all(result.ok for result in results if result.name in ("plant", "journal")):
        results.append(_run_check("counters", lambda: _counters(settings)))
    if not offline and usable:  # else every connection would fail for the same reason
        results += await _broker_rules(settings)
    return results


async def _broker_rules(settings: Settings) -> list[CheckResult]:
    """Run the probe of the broker's rules, as a running bridge does, which accounts for its canaries too."""
    if settings.broker.probe == "off":
        return [CheckResult("broker", ok=True, text="not tested: broker.probe is off")]
    try:
        results = await probe_broker(
            settings.broker,
            root=settings.root,
            stream=settings.stream,
            new_canary=lambda: secrets.token_hex(8).encode(),
            reads=build_decoders(max_bytes=settings.broker.max_payload_bytes).subscriptions,
            places=_probe_places(settings),
        )
    except ProbeUnfinished as unfinished:
        return [CheckResult("broker", ok=False, text=str(unfinished))]
    return [
        CheckResult(
            "broker",
            ok=result.outcome is not Outcome.FAILED,
            text=f"{result.check.replace('_', ' ')}: {result.text}",
        )
        for result in results
    ]


def _probe_places(settings: Settings) -> Sequence[Place]:
    """Return places of the plant for the probe; none if the plant file cannot be read, which is a result of its own."""
    try:
        plant = plant_file.load(settings.plant_file)
    except plant_file.PlantFileError:
        return ()
    return ProbePlaces(Floor(plant).places()).next()


def _run_check(name: str, check: Callable[[], str]) -> CheckResult:
    try:
        return CheckResult(name, ok=True, text=check())
    except FAULTS as error:
        return CheckResult(name, ok=False, text=str(error))


def _plant(settings: Settings) -> str:
    plant = plant_file.load(settings.plant_file)
    machines = sum(len(line.equipment) for line in plant.lines)
    return f"{settings.plant_file}: {plant.name}, {len(plant.lines)} lines, {machines} equipment"


def _policy(settings: Settings) -> str:
    policy = policy_file.load(settings.policy_file)
    return f"{settings.policy_file or 'default policy'}: {len(policy.roles)} roles"


def _tokens(settings: Settings) -> str:
    TokenVerifier(settings.token)
    token = settings.token
    revocations = revocation_file.load(token.revoked_file)
    revoked = "no revocation list" if token.revoked_file is None else f"{len(revocations)} revocations"
    return f"{token.algorithm}, issuer {token.issuer}, audience {token.audience}, {revoked}"


def _web(settings: Settings) -> str:
    web = settings.web
    listener.check_certificate(web)
    if web.tls_cert_file is None and web.tls_key_file is not None:
        raise CheckError(f"web.tls_key_file {web.tls_key_file} is not used: give web.tls_cert_file too, for HTTPS")
    scheme, names = "HTTP" if web.tls_cert_file is None else "HTTPS", own_names(web)
    hosts = ", ".join(["any IP address", *sorted(name for name in names if not is_address(name))])
    text = f"{scheme} on {web.host} port {web.port}; Host of a request: {'any' if '*' in names else hosts}"
    if web.metrics_port is not None:
        text = f"{text}, metrics for anyone on {web.metrics_host} port {web.metrics_port}"
    if scheme == "HTTP" and not is_loopback(web.host):
        text += "\nwithout TLS: tokens can be read on the network; set web.tls_cert_file, or use a proxy with HTTPS"
    dates, now = listener.CertificateDates.read(web), datetime.now(UTC)
    if dates is None:
        return text
    if fault := dates.fault(now):
        raise listener.CertificateError(web, fault)
    return f"{text}\n{dates.warning(now) or f'the certificate is valid until {dates.end:%Y-%m-%d %H:%M} UTC'}"


def _broker_files(broker: BrokerSettings) -> str:
    check_tls_files(broker)
    if not broker.tls:
        return "no TLS"
    authority = broker.ca_file or "the system's"
    identity = "no client certificate" if broker.cert_file is None else f"client certificate {broker.cert_file}"
    return f"TLS, certificate authority {authority}, {identity}"


def _journal(settings: Settings) -> str:
    path = settings.journal.path
    if not path.exists():
        require_no_leftovers(path, marker=read_marker(path))
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise CheckError(f"{path}: cannot open a journal there: {folder} is not a writable folder")
        return f"{path}: will be created at the first start"
    try:
        JournalLock.acquire(path).close()
        journal = SqliteReader.open(path, stream=settings.stream)
    except JournalInUse:
        return f"{path}: in use by a running bridge"
    except JournalTooOld as old:  # perhaps a check before the update, while the older version is still in use
        return f"{path}: schema {old.found}; the next start migrates it to {old.known}"
    try:
        position = journal.position()
    finally:
        journal.close()
    return f"{path}: stream {position.stream}, epoch {position.epoch}, offset {position.offset}"


def _counters(settings: Settings) -> str:
    """Compare the plant file's maximum rates with the rates seen up to the journal's last checkpoints."""
    path = settings.journal.path
    if not path.exists():
        return "no counts yet"
    try:
        journal = SqliteReader.open(path, stream=settings.stream)
    except JournalTooOld:
        return f"{path}: available after the next start migrates the journal"
    try:
        checkpoints = {checkpoint.line: checkpoint.state for checkpoint in journal.checkpoints()}
    finally:
        journal.close()
    try:
        fits = Floor.restore(plant_file.load(settings.plant_file), checkpoints).counter_fits()
    except msgspec.MsgspecError as error:
        raise CheckError(f"{path}: checkpoints of another version of floor-bridge: {error}") from error
    if low := [_too_low(*machine, fit) for machine, fit in fits.items() if fit.max_rate_is_too_low]:
        remedy = f"set 1.5 times the rated speed in {settings.plant_file} (docs/plant.md, counters), then restart"
        raise CheckError("\n".join([*low, remedy]))
    doubtful = [_doubtful(*machine, fit) for machine, fit in fits.items() if fit.held or fit.released or fit.refused]
    if any(fit.refused for fit in fits.values()):
        doubtful.append("refused pieces are differences of registers, not production: check how the register is read")
    return "\n".join(doubtful) or "no pieces held or refused"


def _too_low(line: str, equipment: str, fit: CounterFit) -> str:
    return f"{line}/{equipment}: up to {fit.proven_rate:.0f} a minute, but max_rate_per_minute is {fit.max_rate:g}"


def _doubtful(line: str, equipment: str, fit: CounterFit) -> str:
    return f"{line}/{equipment}: {fit.held} pieces held, {fit.released} released, {fit.refused} refused"
