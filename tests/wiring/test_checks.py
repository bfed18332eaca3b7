"""Checks of `floor check`: the plant file's rates against the journal's counters, and files that the settings name."""

import socket
from pathlib import Path

import pytest
from cryptography.x509 import load_pem_x509_certificate
from structlog.testing import capture_logs

from bridge.adapters import plant_file
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.ports.journal import Batch
from bridge.settings.load import load_settings
from bridge.settings.settings import ProcessRole
from bridge.wiring import checks
from bridge.wiring.bridge import prepare
from tests.support.certificates import self_signed
from tests.support.command_line import floor, write_config
from tests.support.journal_samples import journal_of_counts
from tests.support.revocation_lists import revoke_users

DEMO_PLANT = Path(checks.__file__).parents[1] / "demo" / "plant.toml"


def journal_with(path: Path, *totals: int) -> None:
    """Leave the checkpoint of a line behind whose bagger showed these totals."""
    plant = plant_file.load(DEMO_PLANT)
    journal_of_counts(path, plant, "Bagger-1", totals)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_config(tmp_path)


async def counters(config: Path) -> checks.CheckResult:
    return next(finding for finding in await checks.run_checks(config, offline=True) if finding.name == "counters")


async def test_a_greatest_rate_that_is_too_low_is_named_with_the_rate_seen(config: Path, tmp_path: Path) -> None:
    journal_with(tmp_path / ".floor" / "journal.db", *range(0, 6_000, 500))
    result = await counters(config)
    assert not result.ok
    assert result.text.endswith(
        "/Bagger-1: up to 3000 a minute, but max_rate_per_minute is 120\nset 1.5 times the rated speed in "
        f"{DEMO_PLANT} (docs/plant.md, counters), then restart"
    )


async def test_pieces_in_doubt_are_named(config: Path, tmp_path: Path) -> None:
    journal_with(tmp_path / ".floor" / "journal.db", 0, 70_000)
    result = await counters(config)
    assert result.ok
    assert result.text.endswith("/Bagger-1: 70000 pieces held, 0 released, 0 refused")


async def test_refused_pieces_come_with_how_to_read_them(config: Path, tmp_path: Path) -> None:
    """One nonsense reading of a 32-bit register would count billions of pieces."""
    journal_with(tmp_path / ".floor" / "journal.db", 0, 4_000_000_000, 10)
    result = await counters(config)
    assert result.ok
    assert result.text.endswith(
        "/Bagger-1: 0 pieces held, 0 released, 4000000000 refused\n"
        "refused pieces are differences of registers, not production: check how the register is read"
    )


async def test_each_machine_has_a_line_and_the_hint_is_given_once(config: Path, tmp_path: Path) -> None:
    path = tmp_path / ".floor" / "journal.db"
    for equipment in ("Bagger-1", "Packer-2"):
        journal_of_counts(path, plant_file.load(DEMO_PLANT), equipment, (0, 4_000_000_000, 10))
    checked = (await counters(config)).text.split("\n")
    assert [text.partition(":")[0] for text in checked[:-1]] == ["L1/Bagger-1", "L2/Packer-2"]
    assert checked[-1].startswith("refused pieces are differences of registers")
    ended = floor(tmp_path, "check", "--offline")
    assert ended.returncode == 0, ended.stderr
    printed = [printed for printed in ended.stdout.split("\n") if "refused" in printed]
    assert [line[15:] for line in printed] == checked
    assert printed[0].startswith("ok   counters ")
    assert all(line.startswith(" " * 15) for line in printed[1:])


async def test_counters_that_fit_are_reported_as_fitting(config: Path, tmp_path: Path) -> None:
    journal_with(tmp_path / ".floor" / "journal.db", 0, 10, 20)
    assert (await counters(config)).text == "no pieces held or refused"


async def test_without_a_journal_nothing_was_counted(config: Path) -> None:
    assert await counters(config) == checks.CheckResult("counters", ok=True, text="no counts yet")


async def test_checkpoints_of_another_version_are_a_finding(config: Path, tmp_path: Path) -> None:
    path = tmp_path / ".floor" / "journal.db"
    journal_with(path, 0)
    spec = next(line for line in plant_file.load(DEMO_PLANT).lines if line.find_equipment("Bagger-1"))
    journal = SqliteJournal.open(path, stream="main")
    journal.commit(Batch(entries=[], checkpoints={spec.id: b"\x01"}))
    journal.close()
    result = await counters(config)
    assert not result.ok
    assert "of another version" in result.text


async def web(folder: Path, more: str = "") -> checks.CheckResult:
    """Return the result of the check of the web server, with `more` in its section of the settings."""
    results = await checks.run_checks(write_config(folder, more=more), offline=True)
    return next(result for result in results if result.name == "web")


def names() -> list[str]:
    return sorted({"localhost", socket.gethostname().lower()})


async def test_the_check_prints_who_sees_tokens_and_under_which_names_it_serves(tmp_path: Path) -> None:
    result = await web(tmp_path)
    assert result.ok
    assert result.text.startswith("HTTP on 127.0.0.1 port ")
    assert result.text.endswith(f"; Host of a request: any IP address, {', '.join(names())}")
    beyond = await web(tmp_path, 'host = "0.0.0.0"\nallowed_hosts = ["*"]')
    assert beyond.ok
    first, warning = beyond.text.split("\n")
    assert first.endswith("; Host of a request: any")
    assert warning.startswith("without TLS: tokens can be read on the network")


async def test_a_certificate_that_cannot_be_served_fails_the_check(tmp_path: Path) -> None:
    (tmp_path / "web.crt").write_text("not a certificate")
    (tmp_path / "web.key").write_text("not a key")
    result = await web(tmp_path, 'tls_cert_file = "web.crt"\ntls_key_file = "web.key"')
    assert not result.ok
    assert result.text.startswith("web.tls_cert_file ")
    assert "not a certificate and its private key, both in PEM" in result.text


async def test_a_missing_key_file_fails_the_check_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "web.crt").write_text("not a certificate")
    result = await web(tmp_path, 'tls_cert_file = "web.crt"\ntls_key_file = "other.key"')
    assert not result.ok
    assert result.text.endswith(f"cannot read {tmp_path / 'other.key'}: No such file or directory")


async def test_a_key_without_a_certificate_fails_the_check(tmp_path: Path) -> None:
    result = await web(tmp_path, 'tls_key_file = "web.key"')
    assert not result.ok
    assert "is not used: give web.tls_cert_file too" in result.text


@pytest.mark.parametrize(
    ("days", "ok", "text"),
    [
        ((-20, -10), False, "the certificate expired at {end} UTC: renew it"),
        ((10, 90), False, "the certificate is valid only from {begin} to {end} UTC"),
        ((-1, 29), True, "the certificate expires at {end} UTC, in less than 30 days: renew it"),
        ((-1, 31), True, "the certificate is valid until {end} UTC"),
    ],
)
async def test_the_dates_of_the_certificate_are_checked_and_a_start_warns_of_them(
    tmp_path: Path, *, days: tuple[int, int], ok: bool, text: str
) -> None:
    path, _ = self_signed(tmp_path, days=days)
    certificate = load_pem_x509_certificate(path.read_bytes())
    begin, end = (f"{at:%Y-%m-%d %H:%M}" for at in (certificate.not_valid_before_utc, certificate.not_valid_after_utc))
    result = await web(tmp_path, f'tls_cert_file = "{path}"\ntls_key_file = "key.pem"')
    expected = text.format(begin=begin, end=end)
    assert result.ok == ok
    assert result.text.endswith(expected)
    with capture_logs() as logs, prepare(load_settings(tmp_path / "floor.toml", {}), ProcessRole.BOTH):
        pass
    warned = [entry["reason"] for entry in logs if entry["event"] == "web.certificate_dates"]
    assert warned == ([expected] if "renew" in text or not ok else [])


async def broker(folder: Path, more: str = "") -> checks.CheckResult:
    """Return the result of the check of the broker's files, with `more` in its section of the settings."""
    config = write_config(folder)
    config.write_text(config.read_text().replace("[broker]\n", f"[broker]\n{more}\n"))
    return next(result for result in await checks.run_checks(config, offline=True) if result.name == "broker")


async def test_the_check_says_which_files_secure_the_broker(tmp_path: Path) -> None:
    certificate, _ = self_signed(tmp_path)
    assert (await broker(tmp_path)).text == "no TLS"
    result = await broker(tmp_path, 'tls = true\nca_file = "cert.pem"\ncert_file = "cert.pem"\nkey_file = "key.pem"')
    assert result.ok
    assert result.text == f"TLS, certificate authority {certificate}, client certificate {certificate}"


async def test_a_file_of_the_broker_fails_the_check_without_a_broker(tmp_path: Path) -> None:
    result = await broker(tmp_path, 'tls = true\nca_file = "absent.pem"')
    assert not result.ok
    assert result.text.startswith(f"broker.ca_file {tmp_path / 'absent.pem'}: cannot read it: ")


async def test_a_file_of_the_canary_fails_the_check_by_its_own_name(tmp_path: Path) -> None:
    self_signed(tmp_path)
    key = await broker(tmp_path, 'tls = true\ncanary_key_file = "key.pem"')
    assert (
        key.text
        == f"broker.canary_key_file {tmp_path / 'key.pem'}: not used: give broker.canary_cert_file too, or remove it"
    )
    certificate = await broker(tmp_path, 'tls = true\ncanary_cert_file = "cert.pem"')
    assert certificate.text.endswith("no private key in PEM format: give broker.canary_key_file")


async def test_check_names_an_invalid_entry_of_the_revocations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "revoked.json"
    revoke_users(path, "")
    monkeypatch.setenv("FLOOR_TOKEN__REVOKED_FILE", str(path))
    results = await checks.run_checks(write_config(tmp_path), offline=True)
    tokens = next(result for result in results if result.name == "tokens")
    assert not tokens.ok
    assert "revoked.json: revocations[0].subject: " in tokens.text


async def test_a_journal_below_a_file_fails_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FLOOR_JOURNAL__PATH", str(tmp_path / "file" / "journal.db"))
    results = await checks.run_checks(write_config(tmp_path), offline=True)
    journal = next(result for result in results if result.name == "journal")
    assert not journal.ok
    assert journal.text.endswith(f"cannot open a journal there: {tmp_path / 'file'} is not a writable folder")
