"""A second payload format: the state of a machine as one word, on `raw/{site}/{area}/{line}/{equipment}`."""

from bridge.domain.place import Place
from bridge.domain.reports import Disposition, Report, StateReport, quarantined
from bridge.domain.utc_time import Millis

FILTER = "raw/+/+/+/+"
TOPIC = "raw/north/pack/L1/bagger"


def decode(topic: str, payload: bytes, *, received_at: Millis, cause: str, retained: bool) -> Report | Disposition:
    _, site, area, line, equipment = topic.split("/")
    if payload not in (b"running", b"stopped"):
        return quarantined("unknown_word")
    return Report(
        place=Place(site, area, line, equipment),
        body=StateReport(state=payload.decode()),
        received_at=received_at,
        cause=cause,
        retained=retained,
    )
