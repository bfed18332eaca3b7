"""The demo, run as a newcomer runs it: one command, all 13 events, kill -9, Ctrl-C, a second start."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bridge.domain.events import EventType
from tests.support.brokers import free_port
from tests.support.command_line import ROOT, floor
from tests.support.dashboard import Frame
from tests.system.demo_process import Demo, demo, watch

DELIVERY_SECONDS = 120.0  # a deadline against hanging; how long it took is printed


def current_calls(frames: list[Frame]) -> dict[str, Frame]:
    return {frame["subject"]: frame for frame in frames if frame["type"] == "andon_event"}


async def snapshot(running: Demo) -> list[Frame]:
    frames = await watch(running.port, running.token, lambda frame: frame["type"] == "snapshot_end", seconds=30)
    begin = next(index for index, frame in enumerate(frames) if frame["type"] == "snapshot_begin")
    return frames[begin + 1 : -1]


async def test_all_thirteen_event_types_reach_a_dashboard_and_survive_kill_9(tmp_path: Path) -> None:
    async with demo(tmp_path, "--scale", "120") as running:  # a shift is over sooner; the rest as a newcomer starts it
        await running.until(r"ready.*stop\s+Ctrl-C")
        received_types: set[str] = set()

        def complete(frame: Frame) -> bool:
            received_types.update({frame["type"]} & set(EventType))
            return len(received_types) == len(EventType)

        began = asyncio.get_running_loop().time()
        frames = await watch(running.port, running.token, complete, seconds=DELIVERY_SECONDS)
        print(f"\nall 13 event types after {asyncio.get_running_loop().time() - began:.1f} s")  # noqa: T201
        offsets = [frame["offset"] for frame in frames if "offset" in frame]
        assert len(offsets) == len(set(offsets))

        before = await snapshot(running)
        os.kill(running.bridge_pid, signal.SIGKILL)
        await running.until(r"restarting it from its journal")
        await running.until(r"the bridge runs again")
        after = await snapshot(running)

        epoch = {frame["epoch"] for frame in (*before, *after)}
        assert len(epoch) == 1, "the same journal"
        current = {
            tuple(frame[name] for name in ("line_id", "equipment_code", "category", "subject")): frame
            for frame in after
        }
        for frame in before:
            key = tuple(frame[name] for name in ("line_id", "equipment_code", "category", "subject"))
            if frame["category"] in ("line", "production", "oee"):
                assert current[key]["offset"] >= frame["offset"], f"{key} went back"
            else:
                later = current.get(key)
                assert later is None or later["revision"] >= frame["revision"], f"{key} went back"
        assert await running.stop() == 0
    assert "Traceback" not in running.output
    assert "stopping" in running.output


async def test_a_second_start_finds_its_journal_again(tmp_path: Path) -> None:
    async with demo(tmp_path) as first:
        await first.until(r"stop\s+Ctrl-C")
        frames = await watch(first.port, first.token, lambda frame: frame.get("offset", 0) > 10, seconds=60)
        assert await first.stop() == 0
    last = max(frame.get("offset", 0) for frame in frames)
    epoch = next(frame["epoch"] for frame in frames if "epoch" in frame)
    async with demo(tmp_path) as second:
        await second.until(r"stop\s+Ctrl-C")
        events = await snapshot(second)
        assert {frame["epoch"] for frame in events} == {epoch}
        later = await watch(second.port, second.token, lambda frame: frame.get("offset", 0) > last, seconds=60)
        assert later[-1]["epoch"] == epoch
        assert await second.stop() == 0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Demo]:
    """Run one demo for the tests that leave it as it is; they follow each other, so that it does not run for long."""
    async with demo(tmp_path_factory.mktemp("demo")) as running:
        await running.until(r"stop\s+Ctrl-C")
        yield running
        assert await running.stop() == 0


async def test_a_token_made_in_the_same_folder_is_accepted(undisturbed: Demo) -> None:
    made = await asyncio.to_thread(
        floor, undisturbed.folder, "token", "--user", "eva", "--role", "operator", "--line", "L1"
    )
    frames = await watch(
        undisturbed.port, made.stdout.strip(), lambda frame: frame["type"] == "snapshot_end", seconds=30
    )
    assert frames[0]["type"] == "auth_ok"
    assert frames[0]["user_id"] == "eva"
    assert {frame["line_id"] for frame in frames if "offset" in frame} <= {"L1"}
    confirmed = next(frame for frame in frames if frame["type"] == "subscription_confirmed")
    assert confirmed["effective"] == ["+/+/L1/#"]
    assert confirmed["narrowed"]


async def test_a_second_demo_in_one_folder_is_refused_and_leaves_the_first_alone(undisturbed: Demo) -> None:
    path = undisturbed.folder / ".floor" / "demo" / "floor.toml"
    settings = path.read_text()
    async with demo(undisturbed.folder) as second:
        await second.until(r"another demo runs in \S*demo: stop it, or choose another folder")
        assert await second.end() == 1
    assert path.read_text() == settings
    await watch(undisturbed.port, undisturbed.token, lambda frame: "offset" in frame, seconds=30)


async def test_device_sim_finds_the_demos_broker_in_its_folder(undisturbed: Demo) -> None:
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "device_sim", "press", "Andon-L1", "safety"],
        cwd=undisturbed.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    await watch(
        undisturbed.port,
        undisturbed.token,
        lambda frame: frame.get("type") == "andon_event" and frame["data"].get("andon_type") == "safety",
        seconds=30,
    )


def test_the_brokers_port_has_the_name_that_people_try_too(tmp_path: Path) -> None:
    """As an unknown option it got `--port` as a suggestion: the port of the dashboards."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ended = floor(tmp_path, "demo", "--port", str(free_port()), "--mqtt-port", str(port))
    assert ended.returncode == 1
    assert f"port {port} is in use" in ended.stderr
    assert f"--broker-port {port + 1}" in ended.stderr


@pytest.mark.parametrize("option", ["--port", "--broker-port"])
def test_a_taken_port_is_named_with_the_way_out(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "bridge", "demo", option, str(port)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert f"port {port} is in use" in ended.stderr
    assert f"{option} {port + 1}" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_the_watch_line_that_is_printed_works(tmp_path: Path) -> None:
    async with demo(tmp_path, "--folder", "my first floor") as running:
        line = (await running.until(r"watch\s+(\S[^\n]*)")).group(1)
        await running.until(r"stop\s+Ctrl-C")
        watching = await asyncio.create_subprocess_shell(
            f"{line} --count 5 --json", cwd=tmp_path, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await asyncio.wait_for(watching.communicate(), 60)
        events = [frame for frame in map(json.loads, output.splitlines()) if "offset" in frame]
        assert len(events) == 5
        assert watching.returncode == 0
        assert await running.stop() == 0


async def test_the_bridge_may_be_killed_again_and_again_also_while_it_starts(tmp_path: Path) -> None:
    async with demo(tmp_path) as running:
        await running.until(r"stop\s+Ctrl-C")
        for times in range(1, 8):
            os.kill(await running.child("bridge run"), signal.SIGKILL)
            await running.until(rf"(restarting it.*){{{times}}}")
        await running.until(r"(restarting it.*){7}the bridge runs again")
        await watch(running.port, running.token, lambda frame: "offset" in frame, seconds=30)
        assert await running.stop() == 0


async def test_a_killed_bridge_takes_the_absence_for_as_long_as_it_was_on_the_floor(tmp_path: Path) -> None:
    """Queued pieces are judged against the absence: with a clock that stood still, they would exceed any rate."""
    of_maker = 0

    def counted(frame: Frame) -> bool:
        nonlocal of_maker
        of_maker += frame.get("equipment_code") == "Maker-2" and frame["type"] == "production_update"
        return of_maker >= 5

    async with demo(tmp_path, "--scale", "30") as running:
        await running.until(r"stop\s+Ctrl-C")
        for times in range(1, 3):
            of_maker = 0
            await watch(running.port, running.token, counted, seconds=60)
            os.kill(running.bridge_pid, signal.SIGKILL)
            await running.until(rf"(the bridge runs again.*){{{times}}}")
        of_maker = 0
        await watch(running.port, running.token, counted, seconds=60)
        assert await running.stop() == 0
    folder = tmp_path / ".floor" / "demo"
    assert (folder / "bridge.log").read_text().count("floor.unobserved") == 2
    config = str(folder / "floor.toml")
    checked = await asyncio.to_thread(floor, tmp_path, "check", "--offline", "--config", config)
    assert checked.returncode == 0, checked.stdout


async def test_a_broker_that_ends_is_named_and_ends_the_demo(tmp_path: Path) -> None:
    async with demo(tmp_path) as running:
        await running.until(r"stop\s+Ctrl-C")
        os.kill(await running.child("/broker/"), signal.SIGKILL)
        await running.until(r"(mosquitto|nats-server) ended with exit code -9")
        assert await running.end() == 1


async def test_a_closed_terminal_stops_all_of_it(tmp_path: Path) -> None:
    async with demo(tmp_path) as running:
        await running.until(r"stop\s+Ctrl-C")
        running.process.send_signal(signal.SIGHUP)
        assert await running.end() == 0
    assert "the journal stays in" in running.output


def test_a_terminal_that_is_gone_without_a_signal_stops_all_of_it_too(tmp_path: Path) -> None:
    ours, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge", "demo", "--port", str(free_port()), "--broker-port", str(free_port())],
        cwd=tmp_path,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    os.close(terminal)
    try:
        output = b""
        while b"Ctrl-C" not in output:  # ends with the demo: without it, reading fails
            output += os.read(ours, 65_536)
        os.close(ours)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    assert "bridge.stopped" in (tmp_path / ".floor" / "demo" / "bridge.log").read_text()


async def test_log_lines_of_an_earlier_start_are_not_reported_again(tmp_path: Path) -> None:
    folder = tmp_path / ".floor" / "demo"
    folder.mkdir(parents=True)
    (folder / "bridge.log").write_text("an old reason\n")
    (folder / "secret").write_text("short")
    async with demo(tmp_path) as running:
        await running.until(r"did not start \(exit 1\):\n  [^\n]*at least 32")
        assert await running.end() == 1
    assert "an old reason" not in running.output


async def test_folders_named_as_its_packages_are_not_run(tmp_path: Path) -> None:
    for name in ("bridge", "device_sim"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit(1)")
    async with demo(tmp_path, "--disturb", "clean") as running:
        await running.until(r"ready.*stop\s+Ctrl-C")
        assert await running.stop() == 0


@pytest.mark.parametrize("option", ["--port", "--broker-port"])
def test_an_invalid_port_is_refused(tmp_path: Path, option: str) -> None:
    ended = floor(tmp_path, "demo", option, "65536")
    assert ended.returncode == 2
    assert option in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_folder_that_cannot_be_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = floor(tmp_path, "demo", "--folder", "file/demo", "--port", str(free_port()))
    assert ended.returncode == 1
    assert "file/demo" in ended.stderr
    assert "--folder" in ended.stderr
    assert "Traceback" not in ended.stderr
