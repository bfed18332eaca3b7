"""The name under which a client reached the server: of an address, of this machine, or in the settings."""

import re
import socket
from typing import Final

from starlette.types import Scope

from bridge.http.peers import is_address
from bridge.settings.web import WebSettings

HOST: Final = re.compile(r"(?:\[(?P<address>[^\[\]]+)\]|(?P<name>[^\[\]:]+))(?::[0-9]*)?")  # RFC 3986 3.2.2, 3.2.3


def own_names(web: WebSettings) -> frozenset[str]:
    """Return the names, in lower case, under which this server may be reached; `*` for any."""
    return frozenset({"localhost", socket.gethostname().lower(), web.host.lower(), *web.allowed_hosts})


def requested_host(scope: Scope) -> str | None:
    """Return the Host of a request, "" for HTTP/1.0 without one; None if it is missing or given twice."""
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    if not hosts and scope["http_version"] == "1.0":  # probes of load balancers
        return ""
    return hosts[0] if len(hosts) == 1 else None  # RFC 9112 3.2


def is_host_allowed(host: str, names: frozenset[str]) -> bool:
    """Return whether a request for this Host may be served.

    A page whose own name has been changed to our address (DNS rebinding) is of the same origin as we are. It has a name
    of its owner's, never an address and none of ours.
    """
    if not host or "*" in names:
        return True
    parts = HOST.fullmatch(host)
    if parts is None:
        return False
    name = (parts["name"] or "").lower().removesuffix(".")
    return name in names or name.endswith(".localhost") or is_address(parts["address"] or parts["name"])
