"""The compiled reader counts the stamps in frames of all sizes, in pieces of any size; its percentiles hold."""

import asyncio
import contextlib
import json
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode

from tests.bench.processes import Handshake, NoCompiler, Talking, all_ready, compile_program, running_reader
from tests.bench.rows import Latencies
from tests.support.brokers import until
from tests.support.bytes_dashboard import UPGRADE, masked

SIZES = (0, 1, 124, 125, 126, 127, 40_000, 65_535, 65_536, 300_000)
DASHBOARD = Handshake(UPGRADE, masked(b"begin"), b"ready")
ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


def message(size: int, stamps: int, *, letter: str = "t") -> str:
    """Return so many stamps of now, with other text between them and around them."""
    text = f'{{"job":"@mono:{letter}{time.monotonic_ns():019}","@mon":"@@mono"}}' * stamps
    return "x" * (size // 2) + text + "@" * (size - size // 2)


async def counted(reader: Talking, name: str, value: int) -> dict[str, Any]:
    """Wait until a count of the reader has reached a value; return all its counts."""
    counts: dict[str, Any] = {}
    async with asyncio.timeout(30):
        while counts.get(name, -1) < value:
            await asyncio.sleep(0.01)
            counts = await reader.ask("print")
    return counts


@contextlib.asynccontextmanager
async def sending_server(messages: Sequence[str | Sequence[str]]) -> AsyncIterator[int]:
    """Serve each connection these messages, the lists of text in fragments, once the client has said to begin."""

    async def send(socket: ServerConnection) -> None:
        assert await socket.recv() == b"begin".decode()
        await socket.send("ready")
        for content in messages:
            await socket.send(content)
        await socket.wait_closed()

    async with serve(send, "127.0.0.1", 0, compression=None, max_size=None) as server:
        yield next(iter(server.sockets)).getsockname()[1]


async def test_events_are_counted_in_frames_of_all_sizes_and_fragments(tmp_path: Path) -> None:
    random = Random(1)
    messages: list[str | list[str]] = [message(size, stamps) for size in SIZES for stamps in (0, 1, 3)]
    whole = message(5_000, 40)
    cuts = sorted(random.sample(range(len(whole)), 200))
    messages.append([whole[first:last] for first, last in zip([0, *cuts], [*cuts, len(whole)], strict=True)])
    events = 4 * len(SIZES) + 40
    frames = 1 + (len(messages) - 1) + (len(cuts) + 1) + 1  # `ready`, and the empty fragment that ends the last message
    async with (
        sending_server(messages) as port,
        running_reader(tmp_path, port, [DASHBOARD] * 7) as reader,
    ):
        await all_ready(reader, 7)
        counts = await counted(reader, "frames", 7 * frames)
    assert (counts["events"], counts["fewest"], counts["most"], counts["closed"]) == (7 * events, events, events, 0)
    assert counts["frames"] == 7 * frames
    assert counts["telemetry"]["count"] == 7 * events


async def test_events_are_counted_when_each_read_is_a_few_bytes(tmp_path: Path) -> None:
    texts = [message(size, 1, letter=letter) for size in (0, 60, 130) for letter in "ta"]
    frames = [Frame(Opcode.TEXT, text.encode()) for text in ("ready", *texts)]
    frames.insert(2, Frame(Opcode.PING, b"are you there"))
    data = ACCEPTED + b"".join(frame.serialize(mask=False) for frame in frames)
    received = bytearray()

    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for at in range(0, len(data), 3):
            writer.write(data[at : at + 3])
            await asyncio.sleep(0.001)
        while content := await reader.read(100):
            received.extend(content)
        writer.close()

    async with await asyncio.start_server(dribble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with running_reader(tmp_path, port, [DASHBOARD]) as reader:
            counts = await counted(reader, "frames", len(texts) + 1)
            alarms = await reader.ask("alarms")
            await until(lambda: masked(b"are you there", 0xA) in received, what="a pong")
    assert (counts["ready"], counts["events"], counts["frames"]) == (1, len(texts), len(texts) + 1)
    assert (counts["telemetry"]["count"], counts["alarms"]["count"]) == (3, 3)
    assert sum(number for _, number in alarms) == 3
    assert max(value for value, _ in alarms) / 1e6 == pytest.approx(counts["alarms"]["max_ms"], rel=0.01)


@pytest.mark.parametrize("size", [3, 1_000])
async def test_events_may_be_counted_by_another_text_than_the_stamp(tmp_path: Path, size: int) -> None:
    """Also where a text is cut by the end of a read, or of a frame."""
    mark = '"schema_version":1,"id":"'
    text = "".join(f'{{"type":"x",{mark}{number}"}},{{"type":"position"}}' for number in range(200)) + message(10, 2)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    async with (
        sending_server([pieces]) as port,
        running_reader(tmp_path, port, [DASHBOARD] * 2, counted=mark) as reader,
    ):
        counts = await counted(reader, "frames", 2 * (len(pieces) + 2))
    assert (counts["events"], counts["fewest"], counts["most"]) == (400, 200, 200)
    assert counts["telemetry"]["count"] == 4


async def test_a_stalled_dashboard_reads_nothing_once_it_is_ready(tmp_path: Path) -> None:
    async with (
        sending_server([message(50_000, 10)] * 100) as port,
        running_reader(tmp_path, port, [DASHBOARD] * 3, stalled=1) as reader,
    ):
        await all_ready(reader, 3)
        counts = await counted(reader, "events", 2_000)
    assert counts["fewest"] == counts["most"] == 1_000
    assert counts["events"] < 2_100


def test_percentiles_are_at_most_a_hundredth_too_high(tmp_path: Path) -> None:
    random = Random(2)
    program = compile_program("reader", tmp_path)
    for count in (1, 2, 99, 100, 101, 20_000):
        values = sorted(int(random.lognormvariate(14, 3)) for _ in range(count))
        output = subprocess.run(
            [program, "percentiles"], input=" ".join(map(str, values)), capture_output=True, check=True, text=True
        ).stdout
        latencies = Latencies(**json.loads(output))
        for percent, found in ((50, latencies.p50_ms), (90, latencies.p90_ms), (99, latencies.p99_ms)):
            true_ms = values[-(-count * percent // 100) - 1] / 1e6
            assert true_ms - 0.0001 <= found <= true_ms * 1.01 + 0.0001, (count, percent)
        assert latencies.max_ms == pytest.approx(values[-1] / 1e6, abs=0.0001)
        assert latencies.count == count


def test_a_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoCompiler, match="no `cc` found"):
        compile_program("reader", tmp_path)
