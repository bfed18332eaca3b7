"""One action, one effect, under resends, redeliveries, overlapping subscriptions, losses and cuts.

A broker that keeps its promises (MQTT 5 4.4: in order, under the same packet identifier, with DUP) and the intake with
its journal, taken apart: every schedule of deliveries, commits, acknowledgements, lost connections and kills is one
that sockets could produce. The oracle knows which message is which; the bridge has to find out.
"""

import random
from pathlib import Path

import pytest

from bridge.domain import dedup, records
from bridge.domain.dedup import Deduplicator
from bridge.domain.records import MessageDigest
from bridge.journal.sqlite import batch_rows
from tests.pipeline.lossy_world import DOUBT_MS, STEPS, LossyNetwork


@pytest.mark.parametrize("seeds", [range(20), pytest.param(range(1_000), marks=pytest.mark.proof)])
def test_every_action_has_one_effect(tmp_path: Path, seeds: range) -> None:
    for seed in seeds:
        chance = random.Random(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        world = LossyNetwork(folder)
        for _, name, values in chance.choices(STEPS, [weight for weight, _, _ in STEPS], k=200):
            more = (chance.randrange(12),) if name == "resend" else ()
            getattr(world, name)(*values, *more)
        world.cut()
        world.heal()
        world.check(seed)
        world.journal.close()


def test_the_memory_of_duplicates_is_bounded_and_survives_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window in memory and the one in the journal hold the same inputs, however many there were."""
    for module in (records, dedup, batch_rows):
        monkeypatch.setattr(module, "DEDUP_INPUTS", 20)
    world = LossyNetwork(tmp_path)
    for turn in range(60):
        world.report("dated" if turn % 2 else "bare", 1)
        world.deliver()
        world.commit(False)
        world.acknowledge()
        world.arrive()
    remembered = world.intake.dedup.remembered()
    assert len(remembered) == 20
    world.kill()
    assert world.intake.dedup.remembered() == remembered
    sizes = world.intake.dedup.sizes
    assert sizes.with_timestamp == 10
    assert sizes.unacknowledged <= 20
    assert sizes.by_packet_id <= 20
    world.journal.close()


def test_a_packet_identifier_that_is_given_again_frees_what_had_it() -> None:
    """Of a broker that gives the lowest free one: what had it before was acknowledged, and cannot come again."""
    dedup = Deduplicator(records.DedupWindow((), 0), doubt_ms=DOUBT_MS)
    press = MessageDigest(b"press", has_timestamp=False, packet_id=1)
    assert not dedup.check_and_add(1, press, redelivered=False, generation=1)
    dedup.release_packet_id(1)
    assert not dedup.check_and_add(2, press, redelivered=False, generation=1)
    assert dedup.check_and_add(3, press, redelivered=True, generation=2)
    assert not dedup.check_and_add(4, press, redelivered=True, generation=2), "only one of them can come again"


def test_a_redelivery_under_another_packet_identifier_is_another_message() -> None:
    dedup = Deduplicator(records.DedupWindow((), 0), doubt_ms=DOUBT_MS)
    assert not dedup.check_and_add(
        1, MessageDigest(b"press", has_timestamp=False, packet_id=1), redelivered=False, generation=1
    )
    assert not dedup.check_and_add(
        2, MessageDigest(b"press", has_timestamp=False, packet_id=2), redelivered=True, generation=2
    )
    assert dedup.check_and_add(3, MessageDigest(b"press", has_timestamp=False), redelivered=True, generation=3), (
        "not known: as the content says"
    )
