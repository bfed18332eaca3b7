"""The files of TLS to the broker: each that cannot be used is named by its setting, with the reason and the remedy."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bridge.mqtt.link import BrokerLink
from bridge.mqtt.tls import TlsFileError, check_tls_files, tls_context
from bridge.settings.broker import BrokerSettings
from tests.support.brokers import until
from tests.support.certificates import self_signed

FILES = ("ca_file", "cert_file", "key_file")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    certificate, key = self_signed(tmp_path)
    return {"ca_file": certificate, "cert_file": certificate, "key_file": key}


def fault(**files: object) -> str:
    settings = BrokerSettings.model_validate({"tls": True, **files})
    with pytest.raises(TlsFileError) as caught:
        check_tls_files(settings)
    with pytest.raises(TlsFileError, match=r"^broker\."):
        tls_context(settings)  # the link gives the same reason
    return str(caught.value)


def test_good_files_are_used(files: dict[str, Any]) -> None:
    settings = BrokerSettings.model_validate({"tls": True, **files})
    check_tls_files(settings)
    context = tls_context(settings)
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.cert_store_stats()["x509"] == 1


def test_the_key_may_be_in_the_file_of_the_certificate(files: dict[str, Any], tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(files["cert_file"].read_bytes() + files["key_file"].read_bytes())
    check_tls_files(BrokerSettings(tls=True, cert_file=both))
    alone = fault(cert_file=files["cert_file"])
    assert alone == f"broker.cert_file {files['cert_file']}: no private key in PEM format: give broker.key_file"


@pytest.mark.parametrize("setting", FILES)
def test_a_file_that_cannot_be_read_is_named(files: dict[str, Any], tmp_path: Path, setting: str) -> None:
    for path, reason in ((tmp_path / "absent", "No such file or directory"), (tmp_path, "Is a directory")):
        text = fault(**{**files, setting: path})
        assert text == f"broker.{setting} {path}: cannot read it: {reason}: correct the path, or its permissions"


@pytest.mark.parametrize("setting", FILES)
@pytest.mark.parametrize("content", [b"", b"\x30\x82\x01\x0a\xff", b"-----BEGIN NOTHING-----\n-----END NOTHING-----\n"])
def test_a_file_that_is_not_pem_is_named(files: dict[str, Any], tmp_path: Path, setting: str, content: bytes) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_bytes(content)
    what = "private key" if setting == "key_file" else "certificate"
    assert fault(**{**files, setting: wrong}).startswith(f"broker.{setting} {wrong}: no {what} in PEM format: give a ")


def test_swapped_files_are_named(files: dict[str, Any]) -> None:
    text = fault(cert_file=files["key_file"], key_file=files["cert_file"])
    assert text.startswith(f"broker.cert_file {files['key_file']}: no certificate in PEM format")


def test_a_damaged_key_is_named(files: dict[str, Any]) -> None:
    lines = files["key_file"].read_text().splitlines()
    files["key_file"].write_text("\n".join([lines[0], lines[1][:10], lines[-1]]))
    assert fault(**files).startswith(f"broker.key_file {files['key_file']}: OpenSSL cannot use certificate and key")


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_key_of_another_certificate_is_named_with_it(files: dict[str, Any], tmp_path: Path, kind: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    _, key = self_signed(other)
    if kind == "rsa":
        private = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert fault(**{**files, "key_file": key}) == (
        f"broker.key_file {key}: not the key of broker.cert_file {files['cert_file']}: "
        "give the two files that belong together"
    )


@pytest.mark.parametrize("layout", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_key_with_a_passphrase_is_refused_and_nothing_is_asked(files: dict[str, Any], layout: PrivateFormat) -> None:
    key = load_pem_private_key(files["key_file"].read_bytes(), None)
    files["key_file"].write_bytes(key.private_bytes(Encoding.PEM, layout, BestAvailableEncryption(b"secret")))
    assert "the private key has a passphrase: store it without one" in fault(**files)


def test_files_that_are_not_used_are_named(files: dict[str, Any]) -> None:
    for setting in FILES:
        with pytest.raises(TlsFileError, match=r"not used without TLS: set broker\.tls = true, or remove it"):
            check_tls_files(BrokerSettings.model_validate({setting: files[setting]}))
    with pytest.raises(TlsFileError, match=r"^broker\.key_file .*: not used: give broker\.cert_file too"):
        check_tls_files(BrokerSettings(tls=True, key_file=files["key_file"]))


async def test_the_link_reports_the_file(tmp_path: Path) -> None:
    settings = BrokerSettings(tls=True, ca_file=tmp_path / "absent")
    link = BrokerLink(settings, client_id="one", durable=False)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(link.run())
        await until(lambda: str(link.status.reason).startswith(f"broker.ca_file {tmp_path}"), what="the reason")
        running.cancel()
