"""`floor run` as an operator meets it: how it starts, what it refuses, how it ends, what the broker is left with."""

import asyncio
import os
import signal
import sqlite3
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

from tests.support.bridge_process import DEMO_PLANT, ROOT, BridgeProcess, bridge_process
from tests.support.brokers import RunningBroker, until
from tests.support.journal_samples import forge_meta
from tests.support.mqtt_consumer import mqtt_consumer

STOP_SECONDS = 10.0
AHEAD = 4_000_000_000_000  # ms: the year 2096
STATION = "floor/v1/report/plant1/packing/L1/Andon-L1/andon"
LAMP = "station/plant1/packing/L1/Andon-L1/equipment"
LADDER = """
[ladder.high]
acknowledge_minutes = 0.05
resolve_minutes = 30
step_minutes = 5
recipients = [["responders"], ["shift_manager"]]
"""
PRESS = b'{"action": "raise", "andon_type": "equipment"}'


def write(journal: Path, statement: str) -> None:
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        connection.execute(statement)


async def refused(floor: BridgeProcess) -> str:
    """Start a bridge that cannot; return what it says on the way out."""
    before = len(floor.log())
    await floor.launch()
    assert floor.process is not None
    assert await asyncio.wait_for(floor.process.wait(), STOP_SECONDS) == 1
    return floor.log()[before:]


async def test_a_task_that_fails_ends_the_process_and_says_why(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with bridge_process(tmp_path, mosquitto) as floor, floor.device() as device:
        forge_meta(floor.journal, last_number=7)
        await device.publish(STATION, PRESS)
        assert floor.process is not None
        assert await asyncio.wait_for(floor.process.wait(), STOP_SECONDS) == 1
        assert floor.log().splitlines()[-1].startswith("ValueError: input 2 with offsets")
        assert "ExceptionGroup" not in floor.log()
        assert len(floor.log().splitlines()) < 50


async def test_a_damaged_journal_is_refused_and_kept(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with bridge_process(tmp_path, mosquitto) as floor:
        async with floor.dashboard() as board, floor.device() as device:
            await board.snapshot(subscription_type="andon")
            await device.publish(STATION, PRESS)
            await board.receive("andon_event")
        assert await floor.stop() == 0
        write(floor.journal, "UPDATE checkpoints SET state = x'00'")
        content = floor.journal.read_bytes()
        said = await refused(floor)
        assert "the journal is damaged (checkpoint of line L1)" in said
        assert "Traceback" not in said
        assert floor.journal.read_bytes() == content


async def test_a_place_for_the_journal_that_cannot_be_written_is_found_by_check_and_run(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with bridge_process(tmp_path, mosquitto) as floor:
        await floor.stop()
        floor.environment = {"FLOOR_JOURNAL__PATH": str(floor.config / "journal.db")}
        assert "cannot open a journal there" in await refused(floor)
        checking = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge", "check", "--offline", "--config", str(floor.config)),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **floor.environment, "PYTHONPATH": str(ROOT)},
        )
        said, _ = await checking.communicate()
        assert checking.returncode == 1
        assert b"cannot open a journal there" in said


async def test_https_without_its_files_is_refused_with_their_names(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with bridge_process(tmp_path, mosquitto) as floor:
        await floor.stop()
        floor.environment = {"FLOOR_WEB__TLS_CERT_FILE": "/nowhere.crt", "FLOOR_WEB__TLS_KEY_FILE": "/nowhere.key"}
        said = await refused(floor)
        assert said.startswith("web.tls_cert_file /nowhere.crt, web.tls_key_file /nowhere.key: ")
        assert "Traceback" not in said


async def test_without_a_broker_it_starts_and_is_ready_once_there_is_one(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with bridge_process(tmp_path, mosquitto) as floor:
        await floor.stop()
        mosquitto.stop()
        await floor.launch()
        await until(lambda: is_live(floor), what="live")
        assert not floor.is_ready()
        mosquitto.start()
        await floor.ready()
        mosquitto.stop()
        began = time.monotonic()
        assert await floor.stop() == 0
        assert time.monotonic() - began < STOP_SECONDS


def is_live(floor: BridgeProcess) -> bool:
    try:
        return bool(get(floor, "/health/live"))
    except OSError:
        return False


def get(floor: BridgeProcess, path: str) -> bytes:
    with urlopen(f"http://127.0.0.1:{floor.port}{path}", timeout=2) as answer:
        content: bytes = answer.read()
        return content


async def test_a_stop_while_broker_and_dashboard_hang_is_in_time(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with bridge_process(tmp_path, mosquitto) as floor, floor.device() as device:
        reader, writer = await asyncio.open_connection("127.0.0.1", floor.port)
        writer.write(
            b"GET /ws HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert b"101" in await reader.readline()  # and never another word from this dashboard
        for _ in range(20):
            await device.publish(STATION, PRESS)
        mosquitto.send(signal.SIGSTOP)
        began = time.monotonic()
        assert await floor.stop() == 0
        assert time.monotonic() - began < STOP_SECONDS
        mosquitto.send(signal.SIGCONT)
        writer.close()


async def test_the_broker_is_told_whether_the_bridge_is_there(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with bridge_process(tmp_path, mosquitto) as floor, mqtt_consumer(mosquitto, "bridge") as seen:
        await until(lambda: seen.status.get("online") is True, what="online")
        await floor.stop(signal.SIGKILL)
        await until(lambda: seen.status["online"] is False, what="the Will")
        assert seen.status["offset"] is None
        await floor.start()
        await until(lambda: seen.status["online"] is True, what="online again")
        await floor.stop()
        await until(lambda: seen.status["online"] is False, what="the goodbye")
        assert seen.status["offset"] == 0


async def test_lamps_are_lit_again_on_a_broker_that_forgot_them(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with bridge_process(tmp_path, mosquitto) as floor:
        async with floor.device() as device, mqtt_consumer(mosquitto, "station") as seen:
            await device.publish(STATION, PRESS)
            await until(lambda: seen.values.get(LAMP) == b"open", what="lit")
        mosquitto.kill()
        (tmp_path / "mosquitto" / "mosquitto.db").unlink(missing_ok=True)
        mosquitto.start()
        async with mqtt_consumer(mosquitto, "station") as seen:
            await until(lambda: seen.values.get(LAMP) == b"open", what="lit again")
        assert await floor.stop() == 0


async def test_a_deadline_that_passed_while_it_was_down_is_dated_when_it_was_due(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    plant = tmp_path / "plant.toml"
    demo = DEMO_PLANT.read_text().replace('faults_file = "', f'faults_file = "{DEMO_PLANT.parent}/')
    plant.write_text(demo + LADDER)
    async with bridge_process(tmp_path, mosquitto, plant=plant) as floor:
        async with floor.dashboard() as board, floor.device() as device:
            await board.snapshot(subscription_type="escalation")
            await device.publish(STATION, PRESS)
            call = await board.receive("escalation_update", data__level=0)
        await floor.stop(signal.SIGKILL)
        due = datetime.fromisoformat(call["data"]["deadline"])
        await until(lambda: datetime.now(UTC) > due, what="the deadline passes, with nobody there")
        await floor.start()
        async with floor.dashboard() as board:
            (late,) = await board.snapshot(subscription_type="escalation")
            if late["data"]["level"] == 0:
                late = await board.receive("escalation_update", data__level=1)
        assert late["subject"] == call["subject"]
        assert late["timestamp"] == call["data"]["deadline"]


async def test_a_wall_behind_the_journal_is_flagged_and_time_never_goes_back(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with bridge_process(tmp_path, mosquitto) as floor:
        await floor.stop()
        forge_meta(floor.journal, latest_arrival=AHEAD)
        await floor.launch()
        reason = "behind the journal"
        await until(lambda: reason in floor.readiness(), seconds=30, what="it is not ready, and says why")
        assert b"floor_clock_held 1.0" in get(floor, "/metrics")
        async with floor.dashboard() as board, floor.device() as device:
            await board.snapshot(subscription_type="andon")
            await device.publish(STATION, PRESS)
            call = await board.receive("andon_event")
        assert datetime.fromisoformat(call["received_at"]).timestamp() * 1_000 >= AHEAD


async def test_a_poisoned_or_oversized_message_is_quarantined_and_the_stream_goes_on(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with bridge_process(tmp_path, mosquitto) as floor:
        async with floor.dashboard() as board, floor.device() as device:
            await board.snapshot(subscription_type="andon")
            for payload in (b"", b"\xff\x00", b"[" * 60_000, b'{"action": "raise"', b"x" * 900_000):
                await device.publish(STATION, payload)
            await device.publish(STATION, PRESS)
            await board.receive("andon_event")
        assert await floor.stop() == 0
        with closing(sqlite3.connect(floor.journal)) as journal:
            effects = journal.execute("SELECT effect, count(*) FROM inputs WHERE topic LIKE 'report/%' GROUP BY effect")
            assert dict(effects.fetchall()) == {"applied": 1, "quarantined": 5}
