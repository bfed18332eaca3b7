"""TLS of the connection to the broker: the context of the settings, and errors that name an unusable file."""

import ssl
from pathlib import Path
from typing import Final

from bridge.settings.broker import BrokerSettings
from bridge.settings.load import file_error_reason

MISMATCHES: Final = frozenset(
    {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}
)  # the last: a key of another kind


class TlsFileError(Exception):
    """A file of the broker's TLS settings cannot be used; the text names setting, file, reason and remedy."""

    def __init__(self, setting: str, path: Path, reason: str) -> None:
        super().__init__(f"broker.{setting} {path}: {reason}")
        self.setting = setting
        self.path = path


class _HandshakeSocket(ssl.SSLSocket):
    """A TLS socket that closes itself when its handshake fails; paho leaves that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - the library's signature
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def tls_context(settings: BrokerSettings, *, user: str = "") -> ssl.SSLContext | None:
    """Return the context of the settings, None without TLS; raise TlsFileError.

    `user` is what the names of the user's files begin with in the settings: `canary_` of those `as_canary`.
    """
    if not settings.tls:
        return None
    if settings.ca_file is not None:
        _require_certificates("ca_file", settings.ca_file)
    context = ssl.create_default_context(cafile=settings.ca_file)
    context.sslsocket_class = _HandshakeSocket
    if settings.cert_file is not None:
        _require_certificates(f"{user}cert_file", settings.cert_file)
        _load_client_certificate(context, settings.cert_file, settings.key_file, user=user)
    return context


def check_tls_files(settings: BrokerSettings) -> None:
    """Raise TlsFileError for a file that the link cannot use, or does not use."""
    if not settings.tls:
        for setting in ("ca_file", "cert_file", "key_file", "canary_cert_file", "canary_key_file"):
            if (path := getattr(settings, setting)) is not None:
                raise TlsFileError(setting, path, "not used without TLS: set broker.tls = true, or remove it")
    for user, of_user in (("", settings), ("canary_", settings.as_canary())):
        if of_user.key_file is not None and of_user.cert_file is None:
            reason = f"not used: give broker.{user}cert_file too, or remove it"
            raise TlsFileError(f"{user}key_file", of_user.key_file, reason)
        tls_context(of_user, user=user)


def _require_certificates(setting: str, path: Path) -> None:
    _read(setting, path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        reason = "no certificate in PEM format: give a file with -----BEGIN CERTIFICATE-----"
        raise TlsFileError(setting, path, reason) from error


def _load_client_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None, *, user: str) -> None:
    setting, path = (f"{user}cert_file", certificate) if key is None else (f"{user}key_file", key)
    content = _read(setting, path)
    if b"PRIVATE KEY-----" not in content:
        remedy = f"give broker.{user}key_file" if key is None else "give a file with -----BEGIN PRIVATE KEY-----"
        raise TlsFileError(setting, path, f"no private key in PEM format: {remedy}")
    try:
        # without a password OpenSSL would ask for one at the terminal, and block the event loop
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        if error.reason in MISMATCHES:
            reason = f"not the key of broker.{user}cert_file {certificate}: give the two files that belong together"
        elif b"ENCRYPTED" in content:
            reason = (
                "the private key has a passphrase: store it without one (openssl pkey), readable by the bridge only"
            )
        else:
            details = f" ({error.reason.replace('_', ' ').lower()})" if error.reason else ""
            reason = f"OpenSSL cannot use certificate and key{details}: issue them again"
        raise TlsFileError(setting, path, reason) from error


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = f"cannot read it: {file_error_reason(error)}: correct the path, or its permissions"
        raise TlsFileError(setting, path, reason) from error
