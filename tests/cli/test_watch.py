"""The `floor watch` command."""

import asyncio
import os
import shlex
import signal
import ssl
import sys
from pathlib import Path

import pytest
import websockets

from tests.support.bridge_process import bridge_process
from tests.support.brokers import RunningBroker, free_port
from tests.support.certificates import self_signed
from tests.support.command_line import ROOT, floor, floor_program, write_config
from tests.support.tokens import token


@pytest.mark.parametrize(
    "url",
    ["nowhere", "http://127.0.0.1:1", "ws://[::1", "ws://127.0.0.1:99999/ws", "ws://a:b/ws", "ws://127.0.0.1:1/\udcff"],
)
def test_watch_refuses_what_is_no_address(tmp_path: Path, url: str) -> None:
    ended = floor(tmp_path, "watch", "--url", url, "--token", "x")
    assert ended.returncode == 1
    assert "example: ws://127.0.0.1:8080/ws" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("options", [("--role", "viewer"), ("--user", "watch"), ("--role", "a", "--user", "b")])
def test_watch_refuses_options_that_a_token_leaves_without_effect(tmp_path: Path, options: tuple[str, ...]) -> None:
    named = ", ".join(sorted(options[::2], reverse=True))
    given = floor(tmp_path, "watch", "--url", "nowhere", "--token", "x", *options)
    assert given.returncode == 2
    assert given.stderr == f"{named} cannot be combined with --token\n"
    inherited = floor(tmp_path, "watch", "--url", "nowhere", *options, FLOOR_TOKEN="x")
    assert inherited.returncode == 2
    assert inherited.stderr == f"{named} cannot be combined with the token in FLOOR_TOKEN\n"


async def test_watch_ends_where_nothing_would_ever_come(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with bridge_process(tmp_path, mosquitto):
        unknown = await asyncio.to_thread(floor, tmp_path, "watch", "banana")
        assert unknown.returncode == 1
        assert "no subscription was accepted: 'banana' is none of line" in unknown.stderr
        refused = await asyncio.to_thread(floor, tmp_path, "watch", "line:L1", "--role", "amdin")
        assert refused.returncode == 1
        assert "no subscription was accepted" in refused.stderr
        stranger = await asyncio.to_thread(floor, tmp_path, "watch", "--token", "a.b.c")
        assert stranger.returncode == 1
        assert "1008" in stranger.stderr


async def test_watch_trusts_the_authority_that_the_environment_names(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def refuse(socket: websockets.ServerConnection) -> None:
        await socket.close(1008, "reached")

    async with websockets.serve(refuse, "127.0.0.1", 0, ssl=context) as server:
        (listening,) = server.sockets
        url = f"wss://localhost:{listening.getsockname()[1]}/ws"
        ended = await asyncio.to_thread(
            floor_program, tmp_path, "watch", "--url", url, "--token", "x", SSL_CERT_FILE=str(certificate)
        )
    assert ended.returncode == 1
    assert "reached" in ended.stderr


@pytest.mark.parametrize(
    ("subscriptions", "message"),
    [
        (("downtime:L9",), "the plant has no line L9; it has L1, L2, L3, L4\n"),
        (("line:site/area/L8", "oee:L1"), "the plant has no line L8; it has L1, L2, L3, L4\n"),
        (("downtime:L1", "job:me", "equipment:Bagger-1", "banana", "line"), ""),
    ],
)
async def test_watch_lists_the_known_lines_for_an_unknown_one(
    subscriptions: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    write_config(tmp_path)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge", "watch", *subscriptions),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert b"no connection" in await asyncio.wait_for(process.stdout.readline(), 30)
    finally:
        process.kill()
    _, stderr = await process.communicate()
    assert stderr.decode() == message


@pytest.mark.parametrize("options", [("--json",), ()], ids=["json", "lines"])
async def test_watch_ends_with_the_reader_of_its_output(
    tmp_path: Path, mosquitto: RunningBroker, options: tuple[str, ...]
) -> None:
    async with bridge_process(tmp_path, mosquitto) as running:
        command = (sys.executable, "-m", "bridge", "watch", "--token", token(), *options)
        process = await asyncio.create_subprocess_shell(
            f"{shlex.join(command)} | head -n 1",
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.timeout(30):
            assert await process.stdout.readline(), "the one line"
            async with running.device() as device:  # something more to say
                await device.publish("floor/v1/report/plant1/packing/L1/Bagger-1/state", b'{"state": "running"}')
            await process.wait()
        assert await process.stderr.read() == b""


async def test_watch_prints_what_it_waits_for_and_ends_at_ctrl_c(tmp_path: Path) -> None:
    """A missing front, or an address where something else answers, may be a front in a minute."""

    async def other(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    port = free_port()
    process = await start_watch(tmp_path, f"ws://127.0.0.1:{port}/ws")
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert b"no connection; reconnecting" in await process.stdout.readline()
        async with await asyncio.start_server(other, "127.0.0.1", port):
            while b"HTTP 404" not in await process.stdout.readline():
                assert process.returncode is None
    process.send_signal(signal.SIGINT)
    _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, errors) == (130, b"")


async def start_watch(folder: Path, url: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        # started in the background of a shell, a test run ignores SIGINT, and so would what it starts
        *("env", "--default-signal=INT", sys.executable, "-m", "bridge", "watch", "--url", url, "--token", "x"),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
