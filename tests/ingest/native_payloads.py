"""Payloads of every kind of report, and their decoded form."""

import json
from typing import Any

from bridge.domain.reports import (
    Disposition,
    Effect,
    Report,
)
from bridge.ingest.native import decode

HERE = "plant1/packing/L1/BAGGER-1"

USER = {"id": "anna", "name": "Anna", "roles": ["operator"]}

MINIMAL: dict[str, dict[str, Any]] = {
    "state": {"state": "running"},
    "counts": {"total": 1},
    "measurement": {"parameter": "weight", "value": 1, "unit": "g"},
    "inspection": {"inspected": 10, "defects": 0},
    "andon": {"action": "raise", "andon_type": "material"},
    "job": {"action": "start", "job_id": "J1"},
    "changeover": {"action": "start", "to_product": "P2"},
    "downtime": {"action": "confirm", "downtime_id": "L1.down.1"},
    "quality": {"action": "clear", "alert_id": "L1.alert.1"},
    "birth": {},
    "death": {},
}


def decoded(topic: str, payload: object) -> Report | Disposition:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return decode(topic, raw, received_at=1_000, cause="input:7", retained=False)


def report(kind: str, payload: object) -> Report:
    result = decoded(f"report/{HERE}/{kind}", payload)
    assert isinstance(result, Report), result
    return result


def command(kind: str, **payload: Any) -> Report | Disposition:
    return decoded(f"command/{HERE}/{kind}", {"id": "c1", "user": USER, **payload})


def reason(result: Report | Disposition) -> str | None:
    assert isinstance(result, Disposition), result
    assert result.effect is Effect.QUARANTINED
    return result.reason


def why(kind: str, payload: object) -> str | None:
    return reason(decoded(f"report/{HERE}/{kind}", payload))
