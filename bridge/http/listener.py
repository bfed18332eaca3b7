"""The listening socket of a process's web server, and the certificate of HTTPS."""

import errno
import os
import socket
import ssl
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from cryptography import x509

from bridge.settings.web import WebSettings

BACKLOG: Final = 2_048  # 5,000 dashboards reconnect at once
SILENT_SECONDS: Final = 5  # for which the kernel keeps connections on which nothing was sent, as far as it has room
RENEWAL: Final = timedelta(days=30)  # a certificate with less left is warned of


class WebPortInUse(Exception):
    """Another process listens on the port: change the setting, or stop that process."""

    def __init__(self, host: str, port: int, *, setting: str) -> None:
        remedy = f"stop the other process, or set web.{setting} (FLOOR_WEB__{setting.upper()})"
        super().__init__(f"port {port} on {host} is in use: {remedy}")
        self.host = host
        self.port = port


class ListenError(Exception):
    """The address cannot be listened on; `reason` is the operating system's."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host} port {port}: {reason}")
        self.host = host
        self.port = port
        self.reason = reason


class CertificateError(Exception):
    """HTTPS is configured with files that cannot be used."""

    def __init__(self, web: WebSettings, reason: str) -> None:
        key_file = f", web.tls_key_file {web.tls_key_file}" if web.tls_key_file else ""
        super().__init__(f"web.tls_cert_file {web.tls_cert_file}{key_file}: {reason}")


def check_certificate(web: WebSettings) -> None:
    """Raise CertificateError if HTTPS is configured and cannot be served."""
    if web.tls_cert_file is None:
        return
    try:
        for path in filter(None, (web.tls_cert_file, web.tls_key_file)):
            path.open("rb").close()  # OpenSSL's error does not name the file
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(web.tls_cert_file, web.tls_key_file)
    except ssl.SSLError as error:
        reason = f" ({error.reason.replace('_', ' ').lower()})" if error.reason else ""
        raise CertificateError(web, f"not a certificate and its private key, both in PEM{reason}") from error
    except OSError as error:
        raise CertificateError(web, f"cannot read {error.filename}: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class CertificateDates:
    """From when until when the web server's certificate is valid. `now` is aware."""

    begin: datetime
    end: datetime

    @classmethod
    def read(cls, web: WebSettings) -> Self | None:
        """Return the dates of a certificate that `check_certificate` accepted; None without HTTPS, or if unreadable."""
        if web.tls_cert_file is None:
            return None
        try:
            certificate = x509.load_pem_x509_certificate(web.tls_cert_file.read_bytes())  # the first: the server's own
        except (OSError, ValueError):  # ValueError: a form that only OpenSSL reads
            return None
        return cls(certificate.not_valid_before_utc, certificate.not_valid_after_utc)

    def fault(self, now: datetime) -> str | None:
        """Return why clients refuse the certificate now, None if its dates are no reason."""
        if now > self.end:
            return f"the certificate expired at {self.end:%Y-%m-%d %H:%M} UTC: renew it"
        if now < self.begin:
            return f"the certificate is valid only from {self.begin:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"
        return None

    def warning(self, now: datetime) -> str | None:
        """Return the fault, or that the certificate should be renewed soon; None if neither."""
        if (fault := self.fault(now)) or self.end - now >= RENEWAL:
            return fault
        return f"the certificate expires at {self.end:%Y-%m-%d %H:%M} UTC, in less than {RENEWAL.days} days: renew it"


def listen(host: str, port: int, *, setting: str = "port") -> socket.socket:
    """Bind and listen; port 0 takes any free one. Raise ListenError, or WebPortInUse with the setting of `[web]`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise WebPortInUse(host, port, setting=setting) from error
        raise ListenError(host, port, os.strerror(error.errno) if error.errno else str(error)) from error
    if sys.platform == "linux":
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, SILENT_SECONDS)
    return listener
