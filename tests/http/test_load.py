"""Load of the web server: every bound on it is a setting or a constant, and counts in a metric."""

import resource

import pytest
from structlog.testing import capture_logs

from bridge.http.load import Delay, EndReason, ServerLoad, samples_of
from bridge.ports.metrics import Metric
from bridge.protocol.close_codes import CloseCode
from bridge.settings.web import WebSettings

COUNTED_BY: dict[str, tuple[Metric, str]] = {
    "max_connections": (Metric.WEB_REFUSED, "max_connections"),
    "max_connections_per_user": (Metric.WEB_REFUSED, "max_connections_per_user"),
    "max_requests_per_user": (Metric.WEB_REFUSED, "max_requests_per_user"),
    "max_commands_per_second": (Metric.WEB_REFUSED, "max_commands_per_second"),
    "max_frame_bytes": (Metric.WEB_CLOSED, str(CloseCode.TOO_BIG.value)),
    "max_frames_per_second": (Metric.WEB_CLOSED, str(CloseCode.TOO_MANY.value)),
    "max_bytes_per_second": (Metric.WEB_DELAYED, Delay.BYTES),
    "max_unauthenticated": (Metric.WEB_ENDED, EndReason.EVICTED),
    "max_unauthenticated_bytes": (Metric.WEB_ENDED, EndReason.UNAUTHENTICATED),
    "max_work_per_address": (Metric.WEB_DELAYED, Delay.ADDRESS_WORK),
    "max_work_per_user": (Metric.WEB_DELAYED, Delay.USER_WORK),
    "auth_timeout_seconds": (Metric.WEB_CLOSED, str(CloseCode.NOT_AUTHENTICATED.value)),
    "stall_seconds": (Metric.WEB_ENDED, EndReason.ANSWER_UNREAD),
    "turn_ms": (Metric.WEB_LONG_TURNS, ""),
}
ANSWERED = {
    "max_subscriptions",
    "max_filters",
    "command_timeout_seconds",
}  # by an error or an outcome that the user sees


def test_every_bound_has_a_metric() -> None:
    bounds = {
        name for name in WebSettings.model_fields if name.startswith("max_") or name.endswith(("_seconds", "_ms"))
    }
    assert COUNTED_BY.keys() == bounds - ANSWERED


def test_every_metric_is_there_before_its_bound_is_reached() -> None:
    samples = {(sample.metric, *sample.labels.values()) for sample in ServerLoad(WebSettings()).samples()}
    of_the_front = {"max_connections", "max_connections_per_user", "max_commands_per_second"}
    for name, (metric, label) in COUNTED_BY.items():
        if name not in of_the_front:
            assert (metric, label) in samples or (metric,) in samples, name
    assert {reason for metric, *labels in samples if metric is Metric.WEB_ENDED for reason in labels} == set(EndReason)


@pytest.mark.parametrize(
    ("descriptors", "held"), [(100_000, 6_000), (11_200, 6_000), (7_000, 1_800), (4_200, 1_000), (300, 100)]
)
def test_few_descriptors_leave_fewer_connections_to_strangers(
    monkeypatch: pytest.MonkeyPatch, descriptors: int, held: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))
    with capture_logs() as logs:
        pool = ServerLoad(WebSettings()).pool
    assert pool.limit == held
    expected = [{"event": "web.few_descriptors", "log_level": "warning", "needed": 11_200, "max_unauthenticated": held}]
    assert logs == ([] if held == 6_000 else expected)


def test_the_metrics_of_several_servers_are_counted_together() -> None:
    loads = [ServerLoad(WebSettings()) for _ in range(2)]
    loads[0].note_end(EndReason.EVICTED, peer="10.0.0.1")
    loads[1].note_end(EndReason.EVICTED, peer="10.0.0.1")
    loads[1].note_refusal(404, peer="10.0.0.1")
    values = {(sample.metric, *sample.labels.values()): sample.value for sample in samples_of(loads)}
    assert values.keys() == {(sample.metric, *sample.labels.values()) for sample in loads[0].samples()}
    assert values[Metric.WEB_ENDED, EndReason.EVICTED] == 2
    assert values[Metric.WEB_REFUSED_REQUESTS, "404"] == 1
