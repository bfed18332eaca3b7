"""HTTP requests, good and bad, as the OpenAPI document describes them and as it does not; chosen by chance."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final
from urllib.parse import quote

Document = Mapping[str, Any]

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO")
WORDS: Final = (
    "", "L1", "L2", "line:L1", "all", "me", "andon", "line", "escalation", "priority:high", "north/pack/L1", "+/+/L1/#",
    "#", "+", "a#", "$SYS/#", "$share/g/x", "floor/v1/event/#", "/", "//", "../../etc/passwd", "null", "true", "NaN",
    "-1", "0", "1", "1000", "1001", "1e3", "٣", "9" * 30, "main:1", "1:0", "x:1", "'", '"', "<script>", "{}", "%s%n",
    "2026-01-05T08:00:00Z", "2026-01-05T08:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999-23:59",
    "2026-02-30T00:00:00Z", "1767603600", "-9223372036854775809", "x" * 1_100, "\x00", "\n", "\x7f", "\ufeff",
    "\U0001f527",
)  # fmt: skip
RAW: Final = ("%", "%zz", "%00", "%ed%a0%80", "%c0%af", "%ff", "+", "&&", "=", ";", "?", "a=b=c", "%2525")
ODD_VALUES: Final[Sequence[Any]] = (
    None, True, 0, -1, 2**64, 1e300, "", "x" * 300, [], {}, [[]], {"a": {}}, ["L1"] * 101, "L1", "\x00", "\ud800",
)  # fmt: skip
SUBSCRIBE: Final[Mapping[str, Any]] = {
    "id": "s", "subscription_type": "andon", "target_id": ["L1", "L2"], "strict": False, "snapshot": True,
    "filters": {"event_types": ["andon_event"], "priorities": ["high"]}, "mqtt_filter": "+/+/L1/#",
}  # fmt: skip
COMMANDS: Final[Sequence[Mapping[str, Any]]] = (
    {"id": "c1", "action": "andon.raise", "line_id": "L1", "andon_type": "material", "description": "film torn"},
    {"id": "c2", "action": "andon.acknowledge", "line_id": "L2", "call_id": "L2.call.1"},
    {"id": "c3", "action": "downtime.classify", "line_id": "L1", "downtime_id": "L1.down.1", "reason_code": "MECH"},
    {"id": "c4", "action": "job.assign", "line_id": "L1", "equipment_code": "L1-bagger", "job_id": "J1",
     "product": "p", "target_quantity": 5, "assigned_to": "eva"},
    {"id": "c5", "action": "quality.clear", "line_id": "L1", "alert_id": "L1.alert.1"},
    {"id": "c6", "action": "no.such", "line_id": "L1"},
)  # fmt: skip


@dataclass(frozen=True)
class HttpRequest:
    """`operation`: the documented path and method, None if it is of none. `hosts`: of its Host headers."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    operation: tuple[str, str] | None = None
    hosts: tuple[str, ...] = ("localhost",)

    def encode(self) -> bytes:
        """Return its bytes; the connection is for this request alone."""
        headers = (*(("Host", host) for host in self.hosts), ("Connection", "close"), *self.headers)
        length = f"Content-Length: {len(self.body)}\r\n" if self.body or self.method == "POST" else ""
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        return f"{self.method} {self.path} HTTP/1.1\r\n{head}{length}\r\n".encode("latin-1", "replace") + self.body


def random_request(document: Document, tokens: Sequence[str | None], chance: Random) -> HttpRequest:
    """Return a request to one of the document's operations, sometimes with something wrong."""
    path, methods = chance.choice(sorted(document["paths"].items()))
    method, operation = chance.choice(sorted(methods.items()))
    request = HttpRequest(method.upper(), path + _query(operation, chance), operation=(path, method))
    if method == "post":
        request = replace(request, body=_body(path, chance))
        if chance.random() < 0.2:
            kind = chance.choice(("text/plain", "application/json; charset=utf-16", "multipart/form-data", ""))
            request = replace(request, headers=(("Content-Type", kind),))
    if chance.random() < 0.1:
        request = replace(request, headers=(*request.headers, ("Content-Encoding", "gzip")))
    token = chance.choice(tokens)
    if token is not None:
        request = replace(request, headers=(*request.headers, ("Authorization", f"Bearer {token}")))
    match chance.randrange(20):
        case 0:
            other = chance.choice(METHODS)
            request = replace(request, method=other, operation=(path, other.lower()))
        case 1:
            other = path + chance.choice(("/", "/x", "%00", "%2e%2e", "//", ".json"))
            request = replace(request, path=other, operation=None)
        case 2:
            hosts = (("floor.example",), ("127.0.0.1:80",), ("[::1]",), ("",), ("a b",), (), ("localhost",) * 2)
            request = replace(request, hosts=chance.choice(hosts))
        case _:
            pass
    return request


def _query(operation: Mapping[str, Any], chance: Random) -> str:
    pairs = []
    for parameter in operation.get("parameters", ()):
        for _ in range(chance.choice((0, 0, 1, 1, 1, 2, 30))):
            value = chance.choice((_valid(parameter["schema"], chance), chance.choice(WORDS)))
            pairs.append(f"{parameter['name']}={quote(value, safe='', errors='surrogatepass')}")
    if chance.random() < 0.15:
        pairs.append(chance.choice(RAW))
    chance.shuffle(pairs)
    return "?" + "&".join(pairs) if pairs else ""


def _valid(schema: Mapping[str, Any], chance: Random) -> str:
    """Return a value that the schema allows, at a bound or just beyond it where it has one."""
    kinds = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    kind = chance.choice(kinds)
    match kind.get("type"):
        case "integer":
            least, most = kind.get("minimum", 0), kind.get("maximum", 1_000)
            return str(chance.choice((least - 1, least, most, most + 1)))
        case "boolean":
            return chance.choice(("true", "false", "1", "no", "2"))
        case "array":
            return _valid(kind["items"], chance)
        case _ if kind.get("format") == "date-time":
            return chance.choice(("2026-01-05T08:00:00Z", "2026-01-05T08:00:00+01:00", "1969-12-31T23:59:59Z"))
        case _ if "enum" in kind:
            return str(chance.choice(kind["enum"]))
        case _:
            return "x" * chance.choice((1, kind.get("maxLength", 8), kind.get("maxLength", 8) + 1))


def _body(path: str, chance: Random) -> bytes:
    tree: Any = dict(SUBSCRIBE if path.endswith("explain") else chance.choice(COMMANDS))
    for _ in range(chance.choice((0, 0, 1, 1, 2, 4))):
        name = chance.choice([*tree, "type", "user", "x"])
        if chance.random() < 0.3:
            tree.pop(name, None)
        else:
            tree[name] = chance.choice((*ODD_VALUES, chance.choice(WORDS)))
    encoded = json.dumps(tree).encode()
    match chance.randrange(24):
        case 0:
            return chance.choice((b"", b"null", b"[]", b'"x"', b"{", b"\xff\xfe{}", b"NaN", b'{"a": 1e400}'))
        case 1:
            return b'{"a":' + chance.choice((b"[", b'{"a":')) * chance.choice((17, 3_000))
        case 2:
            return encoded[:-1] + b',"line_id":"L2"}'
        case 3:
            return encoded[:-1] + b',"n":' + b"9" * 5_000 + b"}"
        case 4:
            return encoded + b" " * chance.choice((10, 65_536))
        case 5:
            at = chance.randrange(len(encoded))
            return encoded[:at] + bytes([chance.randrange(256)]) + encoded[at + 1 :]
        case _:
            return encoded
