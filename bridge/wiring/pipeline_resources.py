"""Resources of a pipeline before any of its tasks starts: the journal, and the floor restored from it."""

from dataclasses import dataclass

import structlog

from bridge.adapters.clock import Anchor, FloorClock
from bridge.domain.line.floor import Floor
from bridge.domain.plant import Plant
from bridge.domain.utc_time import rfc3339
from bridge.ingest.decoders import DecoderTable, build_decoders
from bridge.pipeline.replay import CheckpointUnreadable, ReplayFailed, restore_floor
from bridge.pipeline.startup_inputs import journal_absence, journal_plant
from bridge.ports.journal import Journal
from bridge.settings.settings import Settings
from bridge.wiring.errors import StartError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PipelineResources:
    """Resources that the pipeline side holds exclusively, among all processes."""

    journal: Journal
    floor: Floor
    decode: DecoderTable
    clock: FloorClock


def restore(settings: Settings, plant: Plant, journal: Journal) -> PipelineResources:
    """Return the resources with the floor as the journal has it; raise JournalError or StartError."""
    decode = build_decoders(max_bytes=settings.broker.max_payload_bytes)
    time, anchor = settings.time, None
    if time.anchor_floor is not None and time.anchor_wall is not None:
        anchor = Anchor(time.anchor_floor, time.anchor_wall)
    clock = FloorClock(scale=time.scale, not_before=journal.last_input()[1], anchor=anchor)
    return PipelineResources(journal, _restore_floor(plant, journal, decode, clock), decode, clock)


def _restore_floor(plant: Plant, journal: Journal, decode: DecoderTable, clock: FloorClock) -> Floor:
    now = clock.now()
    try:
        restored = restore_floor(plant, journal, decode=decode)
    except (ReplayFailed, CheckpointUnreadable) as error:
        raise StartError(str(error)) from error
    log.info("floor.restored", replayed=restored.replayed, differences=restored.differences)
    for difference in restored.first_differences:
        log.warning("floor.replay_differs", number=difference.number, topic=difference.topic)
    since = journal_absence(restored, journal, decode=decode, now=now, clock_trusted=not clock.is_ahead_of_wall())
    if since is not None:
        log.warning("floor.unobserved", reason="restart", since=rfc3339(since), seconds=(now - since) / 1_000)
    change = journal_plant(plant, restored, journal, decode=decode, now=now)
    if change.changed:
        log.info("plant.changed", lines=len(plant.lines), retired=change.retired)
    return change.floor
