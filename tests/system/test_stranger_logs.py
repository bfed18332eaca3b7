"""What anybody can send to a bridge: each refusal is counted, few are in the log, and none as a warning or an error."""

import asyncio
import json
import re
from collections import Counter
from pathlib import Path

from bridge.http.log_limit import LOG_SECONDS
from tests.support.bridge_process import BridgeProcess, bridge_process
from tests.support.brokers import RunningBroker, until
from tests.support.tokens import token

TIMES = 40
STATION = "floor/v1/report/plant1/packing/L1/Andon-L1/andon"
SETTINGS = {"FLOOR_LOG_FORMAT": "json", "FLOOR_WEB__MAX_WORK_PER_ADDRESS": "1000000000"}
COUNTERS = {"web.refused": "status", "web.closed": "code", "web.ended": "reason"}
SAMPLE = re.compile(r'^floor_(web_refused_requests|web_closed|web_ended)_total\{\w+="(\w+)"\} ([\d.]+)$', re.MULTILINE)
SECRET = "a.SECRET.b"


def head(start: str, *lines: str) -> bytes:
    return "\r\n".join((f"{start} HTTP/1.1", "Host: localhost", *lines, "", "")).encode()


def upgrade(*lines: str, path: str = "/ws") -> bytes:
    key = ("Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    return head(f"GET {path}", "Connection: Upgrade", *key, *lines)


def frame(opcode: int, payload: bytes) -> bytes:
    return bytes((0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0)) + payload


CUT_OFF = head("POST /api/commands", f"Authorization: Bearer {token()}", "Content-Length: 100") + b"half"
AUTH = b'{"type": "auth", "token": "%b"}' % SECRET.encode()
SHAPES: dict[tuple[str, str], list[bytes]] = {
    ("web_refused_requests", "400"): [
        b"\0\r\n\r\n",
        head("GET /ws", "Connection: upgrade", "Upgrade: websocket"),
        upgrade("Content-Length: 5") + b"hello",
        head("CONNECT localhost:80"),
    ],
    ("web_refused_requests", "401"): [
        head("GET /metrics", "Connection: close"),
        head(f"GET /api/snapshot?token={SECRET}", f"Authorization: Bearer {SECRET}", "Connection: close"),
    ],
    ("web_refused_requests", "403"): [
        upgrade("Origin: https://evil.example", path=f"/ws?token={SECRET}"),
        upgrade(path=f"/nothing?token={SECRET}"),
    ],
    ("web_refused_requests", "404"): [head("GET /nothing", "Upgrade: h2c", "Connection: close, upgrade")],
    ("web_refused_requests", "405"): [head("DELETE /api/commands", "Connection: close")],
    ("web_refused_requests", "421"): [
        head("GET /", "Connection: close").replace(b"localhost", b"evil.example"),
        upgrade().replace(b"localhost", b"evil.example"),
    ],
    ("web_ended", "head_too_large"): [b"GET / HTTP/1.1\r\nX-A: " + b"x" * 70_000],
    ("web_closed", "1002"): [upgrade() + frame(3, b""), upgrade() + b"\x81\x00"],
    ("web_closed", "1007"): [upgrade() + frame(1, b"\xff")],
    ("web_closed", "1008"): [upgrade() + frame(1, AUTH), upgrade(f"Authorization: Bearer {SECRET}")],
    ("web_closed", "1009"): [upgrade() + b"\x81\xff" + (1 << 20).to_bytes(8) + bytes(4)],
    ("web_ended", "body_cut_off"): [CUT_OFF],
}  # fmt: skip


def counts(bridge: BridgeProcess) -> Counter[tuple[str, str]]:
    return Counter({(name, label): int(float(count)) for name, label, count in SAMPLE.findall(bridge.metrics())})


async def send(port: int, data: bytes) -> None:
    """Send these bytes, and read to the end, or leave at once where the server would wait for more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        await writer.drain()
        if data is not CUT_OFF:
            async with asyncio.timeout(30):
                while received := await reader.read(65_536):
                    if b"\x88" in received and received[-1:] != b"\n":
                        break
    except ConnectionError:
        pass
    finally:
        writer.close()


async def test_what_strangers_do_is_counted_exactly_and_written_rarely(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with bridge_process(tmp_path, mosquitto, environment=SETTINGS) as bridge:
        started, before = len(bridge.log()), counts(bridge)
        expected = Counter({kind: TIMES * len(shapes) for kind, shapes in SHAPES.items()})
        for shapes in SHAPES.values():
            for data in shapes * (TIMES // 10):
                await asyncio.gather(*(send(bridge.port, data) for _ in range(10)))
        await until(lambda: counts(bridge) - before == expected, what="each is counted")
        async with bridge.dashboard() as board, bridge.device() as device:
            await board.snapshot(subscription_type="andon", target_id="L1")
            await device.publish(STATION, b'{"action": "raise", "andon_type": "equipment"}')
            await board.receive("andon_event", data__status="open")
        log = bridge.log()[started:]
    lines = [json.loads(line) for line in log.splitlines()]
    assert {line["level"] for line in lines} == {"info"}
    assert SECRET not in log
    written = Counter((line["event"], str(line.get(COUNTERS.get(line["event"], "")))) for line in lines)
    left_out = Counter[tuple[str, str]]()
    for line in lines:
        if line["event"] in COUNTERS:
            left_out[line["event"], str(line[COUNTERS[line["event"]]])] += line["left_out"]
    seconds = _seconds(lines)
    for (metric, label), count in expected.items():
        event = {"web_refused_requests": "web.refused"}.get(metric, metric.replace("_", "."))
        assert 1 <= written[event, label] <= 1 + seconds / LOG_SECONDS, (event, label)
        assert written[event, label] + left_out[event, label] <= count
    assert written["front.token_refused", "None"] <= 1 + seconds / LOG_SECONDS


def _seconds(lines: list[dict[str, str]]) -> float:
    """Return the time between the first and the last line, by the bridge's own clock."""
    first, last = (_second_of_day(line["timestamp"]) for line in (lines[0], lines[-1]))
    return (last - first) % 86_400


def _second_of_day(timestamp: str) -> float:
    hours, minutes, seconds = timestamp.removesuffix("Z").partition("T")[2].split(":")
    return int(hours) * 3_600 + int(minutes) * 60 + float(seconds)
