"""The largest numbers that the contract lets a device send: from the payload to the journal, a checkpoint, and back."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.domain.line.device.state import MAX_MISSED
from bridge.domain.line.floor import Floor
from bridge.domain.records import JournalEntry
from bridge.domain.reports import APPLIED, suppressed
from bridge.ingest.native import decode
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.pipeline.replay import restore_floor
from bridge.ports.journal import Batch
from tests.support.driven_intake import driven_intake, take
from tests.support.journal_samples import forget_checkpoints
from tests.support.packing_line import T0, equipment, line_spec, plant_file

LARGEST = 2**64 - 1  # docs/devices.md, «Values»: an integer
PLACE = "report/north/pack/L1/bagger"
MODULI = (2, 256, 2**32, 2**63, 2**63 + 1, LARGEST, 2**64)


class RestartedIntake:
    """Applies payloads, commits each with a checkpoint, and can restart from its commits."""

    def __init__(self, journal: SqliteJournal, modulus: int) -> None:
        self.plant = plant_file(line_spec(equipment=equipment(seq_modulus=modulus)))
        self.journal = journal
        self.intake = driven_intake(Floor(self.plant), journal)

    def take(self, kind: str, **body: object) -> JournalEntry:
        """Take a report in, a second after the one before; each begins a new process."""
        payload = json.dumps(body).encode()
        at = max(T0, self.intake.latest_time) + 1_000
        entry = take(self.intake, f"{PLACE}/{kind}", payload, now=at)
        checkpoints = {line.id: self.intake.floor.checkpoint(line.id) for line in self.plant.lines}
        self.journal.commit(Batch(entries=[entry], checkpoints=checkpoints))
        before = self.missed
        restored = restore_floor(self.plant, self.journal, decode=decode)
        assert (restored.replayed, restored.differences) == (0, 0)
        self.intake = driven_intake(restored.floor, self.journal)
        assert self.missed == before
        return entry

    @property
    def missed(self) -> int:
        gaps = self.intake.floor.gaps_by_line()
        return gaps["L1"].missed if gaps else 0

    def replays_the_same(self) -> bool:
        forget_checkpoints(self.journal.path)
        return restore_floor(self.plant, self.journal, decode=decode).differences == 0


@contextmanager
def open_bridge(folder: Path, modulus: int) -> Iterator[RestartedIntake]:
    journal = SqliteJournal.open(folder / "journal.db", stream="main")
    try:
        yield RestartedIntake(journal, modulus)
    finally:
        journal.close()


@pytest.mark.parametrize("modulus", MODULI[1:])
def test_a_sequence_wraps_at_its_modulus_whatever_that_is(tmp_path: Path, modulus: int) -> None:
    with open_bridge(tmp_path, modulus) as bridge:
        last = modulus - 1
        bridge.take("birth", boot_id=LARGEST, seq=max(0, last - 2))
        for seq, state in ((last - 1, "running"), (last, "fault"), (0, "running"), (1, "fault"), (2, "running")):
            entry = bridge.take("state", boot_id=LARGEST, seq=seq % modulus, state=state)
            assert entry.disposition == APPLIED
            assert not any(json.loads(event.body)["data_quality"].get("unplaced") for event in entry.events)
        assert bridge.missed == 0
        assert bridge.replays_the_same()


@pytest.mark.parametrize("modulus", MODULI[2:])
def test_a_repeat_is_known_across_the_wrap(tmp_path: Path, modulus: int) -> None:
    with open_bridge(tmp_path, modulus) as bridge:
        last = modulus - 1
        bridge.take("birth", boot_id=1, seq=last - 1)
        bridge.take("andon", boot_id=1, seq=last, andon_type="safety", action="raise")
        bridge.take("state", boot_id=1, seq=2, state="running")
        assert bridge.missed == 2
        again = bridge.take("andon", boot_id=1, seq=last, andon_type="safety", action="raise")
        assert again.disposition == suppressed("duplicate")
        late = bridge.take("andon", boot_id=1, seq=0, andon_type="quality", action="raise")
        assert late.disposition == APPLIED, "it fills a hole of before and after the wrap"
        assert bridge.take("state", boot_id=1, seq=3, state="fault").disposition == APPLIED
        assert bridge.missed == 2
        assert bridge.replays_the_same()


@pytest.mark.parametrize("modulus", MODULI)
def test_a_device_that_jumps_about_for_ever_is_taken_in(tmp_path: Path, modulus: int) -> None:
    """Each report is more than half a turn ahead of the one before, so that the turns add up."""
    with open_bridge(tmp_path, modulus) as bridge:
        bridge.take("birth", boot_id=1, seq=0)
        seq = 0
        for number in range(12):
            seq = (seq + modulus * 4 // 5) % modulus
            entry = bridge.take(
                "andon", boot_id=1, seq=seq, andon_type="safety", action="raise", notes=f"press {number}"
            )
            assert entry.disposition == APPLIED
        assert bridge.missed <= MAX_MISSED
        assert bridge.replays_the_same()


def test_a_larger_number_than_its_modulus_is_taken_by_its_rest(tmp_path: Path) -> None:
    with open_bridge(tmp_path, 256) as bridge:
        bridge.take("birth", boot_id=1, seq=LARGEST - 1)  # 254
        bridge.take("state", boot_id=1, seq=LARGEST, state="running")
        bridge.take("state", boot_id=1, seq=256, state="fault")
        assert bridge.missed == 0


@pytest.mark.parametrize("seq", [-1, LARGEST + 1, 0.5])
def test_an_input_outside_the_contract_is_quarantined(tmp_path: Path, seq: float) -> None:
    with open_bridge(tmp_path, 2**64) as bridge:
        entry = bridge.take("state", boot_id=1, seq=seq, state="running")
        assert entry.disposition.effect.value == "quarantined"
