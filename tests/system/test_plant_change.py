"""A machine, a station and a line taken out of the plant file: no reader sees their old state as current."""

import asyncio
import re
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from bridge.adapters import plant_file
from bridge.domain.internal_inputs import PLANT_TOPIC, plant_to_json
from bridge.domain.line.plant_migration import orphaned_keys
from bridge.domain.plant import Plant
from bridge.ingest.native import decode
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.pipeline.replay import restore_floor
from bridge.pipeline.startup_inputs import PlantChange, journal_plant
from bridge.ports.journal import Batch
from tests.support.bridge_process import BridgeProcess, bridge_process
from tests.support.brokers import RunningBroker, until
from tests.support.dashboard import Frame
from tests.support.driven_intake import driven_intake, take
from tests.support.journal_samples import change
from tests.support.packing_line import T0
from tests.support.retained_messages import retained

SITE = "floor/v1/report/north/pack"
ALL_LINES = {"subscription_type": "line", "target_id": "all"}
BEFORE = {"L1": ("bagger", "packer", "desk"), "L2": ("bagger", "packer", "desk")}
AFTER = {"L1": ("bagger",)}
HEAD = 'name = "test"\n[[areas]]\nid = "pack"\nsite = "north"\n'
REMOVED = re.compile("/L2/|/packer/|/desk/")
RUNNING = b'{"state": "running"}'


def write_plant(path: Path, lines: Mapping[str, Sequence[str]]) -> Path:
    text = HEAD
    for line, equipment in lines.items():
        text += f'[[lines]]\nid = "{line}"\narea = "pack"\nideal_cycle_seconds = 1\n'
        for name in equipment:
            text += f'[[lines.equipment]]\nid = "{name}"\nkind = "{"station" if name == "desk" else "plc"}"\n'
    path.write_text(text)
    return path


def places(events: list[Frame]) -> set[tuple[str, str | None]]:
    return {(event["line_id"], event["equipment_code"]) for event in events}


async def report(bridge: BridgeProcess) -> None:
    async with bridge.device() as device:
        for line in BEFORE:
            for machine in ("bagger", "packer"):
                await device.publish(f"{SITE}/{line}/{machine}/state", RUNNING)
            await device.publish(f"{SITE}/{line}/desk/andon", b'{"action": "raise", "andon_type": "safety"}')


async def test_equipment_removed_from_the_plant_file_leaves_every_board(
    mosquitto: RunningBroker, tmp_path: Path
) -> None:
    plant = write_plant(tmp_path / "plant.toml", BEFORE)
    async with bridge_process(tmp_path, mosquitto, plant=plant) as bridge:
        await report(bridge)
        await until(lambda: 'floor_pipeline_applied_total{kind="andon"} 2.0' in bridge.metrics(), what="taken")
        async with bridge.dashboard() as board:
            before = await board.snapshot(**ALL_LINES)
        assert {("L1", "bagger"), ("L1", "packer"), ("L1", "desk"), ("L2", None)} <= places(before)
        _, epoch, offset = before[-1]["id"].split(":")
        await bridge.stop()
        write_plant(plant, AFTER)
        await bridge.start()
        async with bridge.dashboard() as board:
            since = {"main": {"epoch": epoch, "offset": int(offset)}}
            await board.send({"type": "resume", "subscriptions": [{**ALL_LINES, "id": "w"}], "since": since})
            resumed = await board.receive("resumed")
            assert resumed["streams"]["main"] == {"recovered": False}
            await board.receive("snapshot_end", id="w")
            frames = [frame for frame in board.frames if "offset" in frame]
        assert {("L1", "bagger"), ("L1", None)} == places(frames)
        (line,) = (e for e in frames if e["type"] == "line_status_update" and e["equipment_code"] is None)
        assert list(line["data"]["equipment"]) == ["bagger"], "running, or unknown where the start took 10 s"
        async with asyncio.timeout(20):  # the publisher reads what is retained once it is connected
            while any(REMOVED.search(topic) and word != b"off" for topic, word in (await retained(mosquitto)).items()):
                pass
        assert any("/north/pack/L1/bagger/" in topic for topic in await retained(mosquitto))
        await report(bridge)
        for unknown in ('kind="state",reason="unknown_place"} 2.0', 'kind="state",reason="unknown_equipment"} 1.0'):
            sample = f"floor_pipeline_quarantined_total{{{unknown}"
            await until(lambda sample=sample: sample in bridge.metrics(), what=sample)  # type: ignore[misc]
        assert 'floor_pipeline_applied_total{kind="config"} 2.0' in bridge.metrics()
        assert await bridge.stop() == 0
        assert "floor.replay_differs" not in bridge.log()


def start(plant: Plant, journal: SqliteJournal) -> PlantChange:
    return journal_plant(plant, restore_floor(plant, journal, decode=decode), journal, decode=decode, now=T0 + 60_000)


def report_through_core(adopted: PlantChange, journal: SqliteJournal) -> None:
    """Apply and commit a report of the packer."""
    entry = take(driven_intake(adopted.floor, journal), "report/north/pack/L1/packer/state", RUNNING, now=T0)
    journal.commit(Batch(entries=[entry]))


def test_a_plant_file_is_taken_with_what_it_retires_or_not_at_all(tmp_path: Path) -> None:
    """Half adopted, and the old file restored, retired events would stay current for ever."""
    before, after = (plant_file.load(write_plant(tmp_path / f"{len(lines)}.toml", lines)) for lines in (BEFORE, AFTER))
    journal = SqliteJournal.open(tmp_path / "journal.db", stream="main")
    try:
        report_through_core(start(before, journal), journal)
        position, current = journal.position(), journal.snapshot().events
        change(journal.path, "CREATE TRIGGER killed BEFORE INSERT ON epochs BEGIN SELECT RAISE(ABORT, 'killed'); END")
        with pytest.raises(sqlite3.IntegrityError, match="killed"):
            start(after, journal)
        assert (journal.position(), journal.snapshot().events) == (position, current)
        assert not start(before, journal).changed
        change(journal.path, "DROP TRIGGER killed")
        adopted = start(after, journal)
        assert (adopted.changed, adopted.retired > 0) == (True, True)
        assert orphaned_keys((event.state_key for event in journal.snapshot().events), after) == []
        assert journal.epoch == journal.position().epoch != position.epoch
        again = start(after, journal)
        assert (again.changed, again.retired) == (False, 0), "and it is done once"
    finally:
        journal.close()


def test_an_equal_plant_file_is_no_input_and_an_added_line_no_epoch(tmp_path: Path) -> None:
    path = tmp_path / "plant.toml"
    journal = SqliteJournal.open(tmp_path / "journal.db", stream="main")
    try:
        report_through_core(start(plant_file.load(write_plant(path, AFTER | {"L1": ("packer",)})), journal), journal)
        epoch, number = journal.position().epoch, journal.last_input()[0]
        path.write_text(f"# a comment\n{path.read_text()}")
        assert not start(plant_file.load(path), journal).changed
        more = plant_file.load(write_plant(path, {"L1": ("packer", "bagger"), "L2": ("bagger",)}))
        assert start(more, journal).changed
        assert (journal.position().epoch, journal.last_input()[0]) == (epoch, number + 1)
        config = journal.config(PLANT_TOPIC)
        assert config is not None
        assert config.payload == plant_to_json(more)
        assert journal.counters()["config", "applied", ""] == 2
    finally:
        journal.close()
