"""Counters of the bridge's web server, with their labels: which budget, or other bound, an attack has met.

docs/operations.md explains them. They are without `floor_web_` here, as in the table of a run.
"""

import re
from collections.abc import Mapping
from typing import Final

NO_WEBSOCKET: Final = 'closed_total{code="1002"}'
TOO_LONG: Final = 'closed_total{code="1009"}'
NO_TOKEN: Final = 'closed_total{code="4408"}'
ADDRESS_WORK: Final = 'delayed_total{budget="address_work"}'
BYTES: Final = 'delayed_total{budget="bytes"}'
USER_WORK: Final = 'delayed_total{budget="user_work"}'
AFTER_CLOSE: Final = 'ended_total{reason="after_close"}'
EVICTED: Final = 'ended_total{reason="evicted"}'
HEAD_LATE: Final = 'ended_total{reason="head_late"}'
NO_TLS: Final = 'ended_total{reason="no_tls"}'
UNAUTHENTICATED: Final = 'ended_total{reason="unauthenticated"}'
BODY_TOO_LARGE: Final = 'ended_total{reason="body_too_large"}'
NOT_ADMITTED: Final = 'refused_requests_total{status="401"}'
COMMAND_PACE: Final = 'refused_total{bound="max_commands_per_second"}'
TOO_MANY_REQUESTS: Final = 'refused_total{bound="max_requests_per_user"}'

_COUNTER: Final = re.compile(r"^floor_web_(\w+_total(?:\{[^}]*\})?) (\S+)$", re.MULTILINE)


def counters(metrics: str) -> Mapping[str, float]:
    """Return the counters of the web server in the text of /metrics."""
    return {name: float(value) for name, value in _COUNTER.findall(metrics)}


def increases(before: str, after: str) -> Mapping[str, float]:
    """Return by how much each counter of the web server went up, of those that did."""
    former = counters(before)
    values = {name: value - former.get(name, 0) for name, value in counters(after).items()}
    return {name: value for name, value in values.items() if value > 0}
