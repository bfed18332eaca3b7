"""`floor run` as an operator sees it: start, refusals, stop, and messages left on the broker."""

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


async def refused(bridge: BridgeProcess) -> str:
    """Start a bridge that cannot start; return its output."""
    before = len(bridge.log())
    await bridge.launch()
    assert bridge.process is not None
    assert await asyncio.wait_for(bridge.process.wait(), STOP_SECONDS) == 1
    return bridge.log()[before:]


async def test_a_task_that_fails_ends_the_process_and_states_the_reason(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with bridge_process(tmp_path, mosquitto) as bridge, bridge.device() as device:
        forge_meta(bridge.journal, last_number=7)
        await device.publish(STATION, PRESS)
        assert bridge.process is not None
        assert await asyncio.wait_for(bridge.process.wait(), STOP_SECONDS) == 1
        assert bridge.log().splitlines()[-1].startswith("ValueError: input 2 with offsets")
        assert "ExceptionGroup" not in bridge.log()
        assert len(bridge.log().splitlines()) < 50


async def test_a_damaged_journal_is_refused_and_kept(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with bridge_process(tmp_path, mosquitto) as bridge:
        async with bridge.dashboard() as board, bridge.device() as device:
            await board.snapshot(subscription_type="andon")
            await device.publish(STATION, PRESS)
            await board.receive("andon_event")
        assert await bridge.stop() == 0
        write(bridge.journal, "UPDATE checkpoints SET state = x'00'")
        content = bridge.journal.read_bytes()
        output = await refused(bridge)
        assert "the journal is damaged (the checkpoint of line L1 does not match" in output
        assert "Traceback" not in output
        assert bridge.journal.read_bytes() == content


async def test_a_place_for_the_journal_that_cannot_be_written_is_found_by_check_and_run(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with bridge_process(tmp_path, mosquitto) as bridge:
        await bridge.stop()
        bridge.environment = {"FLOOR_JOURNAL__PATH": str(bridge.config / "journal.db")}
        assert "cannot open a journal there" in await refused(bridge)
        checking = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge", "check", "--offline", "--config", str(bridge.config)),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **bridge.environment, "PYTHONPATH": str(ROOT)},
        )
        output, _ = await checking.communicate()
        assert checking.returncode == 1
        assert b"cannot open a journal there" in output


async def test_https_without_its_files_is_refused_with_their_names(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with bridge_process(tmp_path, mosquitto) as bridge:
        await bridge.stop()
        bridge.environment = {"FLOOR_WEB__TLS_CERT_FILE": "/nowhere.crt", "FLOOR_WEB__TLS_KEY_FILE": "/nowhere.key"}
        output = await refused(bridge)
        assert "\nweb.tls_cert_file /nowhere.crt, web.tls_key_file /nowhere.key: " in output
        assert "Traceback" not in output


async def test_without_a_broker_it_starts_and_is_ready_once_there_is_one(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with bridge_process(tmp_path, mosquitto) as bridge:
        await bridge.stop()
        mosquitto.stop()
        await bridge.launch()
        await until(lambda: is_live(bridge), what="live")
        assert not bridge.is_ready()
        mosquitto.start()
        await bridge.ready()
        mosquitto.stop()
        began = time.monotonic()
        assert await bridge.stop() == 0
        assert time.monotonic() - began < STOP_SECONDS


def is_live(bridge: BridgeProcess) -> bool:
    try:
        return bool(get(bridge, "/health/live"))
    except OSError:
        return False


def get(bridge: BridgeProcess, path: str) -> bytes:
    with urlopen(f"http://127.0.0.1:{bridge.port}{path}", timeout=2) as answer:
        content: bytes = answer.read()
        return content


async def test_a_stop_while_broker_and_dashboard_hang_is_in_time(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with bridge_process(tmp_path, mosquitto) as bridge, bridge.device() as device:
        reader, writer = await asyncio.open_connection("127.0.0.1", bridge.port)
        writer.write(
            b"GET /ws HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert b"101" in await reader.readline()  # and never another word from this dashboard
        for _ in range(20):
            await device.publish(STATION, PRESS)
        mosquitto.send(signal.SIGSTOP)
        began = time.monotonic()
        assert await bridge.stop() == 0
        assert time.monotonic() - began < STOP_SECONDS
        mosquitto.send(signal.SIGCONT)
        writer.close()


async def test_the_retained_status_shows_whether_the_bridge_is_online(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with bridge_process(tmp_path, mosquitto) as bridge, mqtt_consumer(mosquitto, "bridge") as consumer:
        await until(lambda: consumer.status.get("online") is True, what="online")
        await bridge.stop(signal.SIGKILL)
        await until(lambda: consumer.status["online"] is False, what="the Will")
        assert consumer.status["offset"] is None
        await bridge.start()
        await until(lambda: consumer.status["online"] is True, what="online again")
        await bridge.stop()
        await until(lambda: consumer.status["online"] is False, what="the goodbye")
        assert consumer.status["offset"] == 0


async def test_lamps_are_lit_again_on_a_broker_that_forgot_them(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with bridge_process(tmp_path, mosquitto) as bridge:
        async with bridge.device() as device, mqtt_consumer(mosquitto, "station") as consumer:
            await device.publish(STATION, PRESS)
            await until(lambda: consumer.values.get(LAMP) == b"open", what="lit")
        mosquitto.kill()
        (tmp_path / "mosquitto" / "mosquitto.db").unlink(missing_ok=True)
        mosquitto.start()
        async with mqtt_consumer(mosquitto, "station") as consumer:
            await until(lambda: consumer.values.get(LAMP) == b"open", what="lit again")
        assert await bridge.stop() == 0


async def test_a_deadline_that_passed_while_it_was_down_is_dated_when_it_was_due(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    plant = tmp_path / "plant.toml"
    demo = DEMO_PLANT.read_text().replace('faults_file = "', f'faults_file = "{DEMO_PLANT.parent}/')
    plant.write_text(demo + LADDER)
    async with bridge_process(tmp_path, mosquitto, plant=plant) as bridge:
        async with bridge.dashboard() as board, bridge.device() as device:
            await board.snapshot(subscription_type="escalation")
            await device.publish(STATION, PRESS)
            call = await board.receive("escalation_update", data__level=0)
        await bridge.stop(signal.SIGKILL)
        due = datetime.fromisoformat(call["data"]["deadline"])
        await until(lambda: datetime.now(UTC) > due, what="the deadline passes during the absence")
        await bridge.start()
        async with bridge.dashboard() as board:
            (late,) = await board.snapshot(subscription_type="escalation")
            if late["data"]["level"] == 0:
                late = await board.receive("escalation_update", data__level=1)
        assert late["subject"] == call["subject"]
        assert late["timestamp"] == call["data"]["deadline"]


async def test_a_wall_behind_the_journal_is_flagged_and_time_never_goes_back(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with bridge_process(tmp_path, mosquitto) as bridge:
        await bridge.stop()
        forge_meta(bridge.journal, latest_arrival=AHEAD)
        await bridge.launch()
        reason = "behind the journal"
        await until(lambda: reason in bridge.readiness(), seconds=30, what="not ready, with the reason")
        assert "floor_clock_held 1.0" in bridge.metrics()
        async with bridge.dashboard() as board, bridge.device() as device:
            await board.snapshot(subscription_type="andon")
            await device.publish(STATION, PRESS)
            call = await board.receive("andon_event")
        assert datetime.fromisoformat(call["received_at"]).timestamp() * 1_000 >= AHEAD


async def test_a_poisoned_or_oversized_message_is_quarantined_and_the_stream_continues(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with bridge_process(tmp_path, mosquitto) as bridge:
        async with bridge.dashboard() as board, bridge.device() as device:
            await board.snapshot(subscription_type="andon")
            for payload in (b"", b"\xff\x00", b"[" * 60_000, b'{"action": "raise"', b"x" * 900_000):
                await device.publish(STATION, payload)
            await device.publish(STATION, PRESS)
            await board.receive("andon_event")
        assert await bridge.stop() == 0
        with closing(sqlite3.connect(bridge.journal)) as journal:
            effects = journal.execute("SELECT effect, count(*) FROM inputs WHERE topic LIKE 'report/%' GROUP BY effect")
            assert dict(effects.fetchall()) == {"applied": 1, "quarantined": 5}
