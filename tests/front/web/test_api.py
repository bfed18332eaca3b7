"""The same front over HTTP: health, metrics, contracts, history, commands; errors without internals."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from bridge.domain.line.counters.machine_counters import CounterFit
from bridge.domain.line.device.state import SequenceGaps
from bridge.pipeline.status import PipelineStatus
from bridge.ports.metrics import Metric, MetricSample
from bridge.wiring.pipeline_samples import counter_samples, gap_samples, ineffective_samples, pipeline_samples
from tests.support.front_server import call, served_front, status
from tests.support.journal_samples import NOON
from tests.support.tokens import bearer

COMMAND = {"id": "c1", "action": "andon.acknowledge", "line_id": "L1", "call_id": "L1.call.1"}


async def test_health_needs_no_token_and_states_why_it_is_not_ready(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served:
        assert (await served.get("/health/live")).json() == {"live": True}
        assert (await served.get("/health/ready")).json()["ready"] is True
        served.front.set_link_state(broker_connected=False, stream_live=True, last_seen=NOON)
        response = await served.get("/health/ready")
        assert response.status_code == 503
        assert response.json() == {"ready": False, "reason": "no connection to the broker"}


async def test_statistics_are_for_admins(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served:
        assert (await served.get("/ws/health", bearer())).json()["connections"] == 0
        refused = await served.get("/ws/health", bearer(roles=("viewer",), lines=["L1"]))
        assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN")
        unproven = await served.get("/ws/health")
        assert (unproven.status_code, unproven.headers["www-authenticate"]) == (401, "Bearer")


async def test_an_admin_of_another_plant_is_none_where_the_policy_lists_no_admin(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[roles.viewer]\nread = ["+/+/{line}/#"]\n')
    async with served_front(tmp_path, policy_file=policy) as served:
        for path in ("/ws/health", "/metrics"):
            refused = await served.get(path, bearer(roles=("admin", "viewer"), lines=["L1"]))
            assert (refused.status_code, refused.json().get("code")) == (403, "FORBIDDEN"), path


async def test_the_catalogue_is_open(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served:
        catalogue = (await served.get("/ws/events")).json()
    assert len(catalogue["event_types"]) == 13
    assert len(catalogue["subscription_types"]) == 10


async def test_metrics_are_in_the_text_format_and_count_the_pipeline_too(tmp_path: Path) -> None:
    pipeline = PipelineStatus(
        ready=True, reason=None, offset=7, committed_at=NOON, unknown_fields=1,
        received={"state": 5, "other": 1}, in_flight={"state": 2},
        counters={("state", "applied", ""): 2, ("other", "quarantined", "bad_topic"): 1},
    )  # fmt: skip
    numbers = [
        *pipeline_samples(pipeline),
        *gap_samples({"L1": SequenceGaps(4, 3, 2)}),
        *ineffective_samples({"L1": 1}),
    ]
    numbers += [MetricSample(Metric.CLOCK_HELD, 1.0)]
    fit = CounterFit(held=5, released=6, refused=7, proven_rate=90.0, max_rate=60.0)
    numbers += counter_samples({("L1", "bagger"): fit})
    async with served_front(tmp_path, numbers=numbers) as served:
        served.commit(call("S.3.C.R.3.T"))
        text = (await served.get("/metrics", bearer())).text
    lines = text.splitlines()
    assert "floor_ready 1.0" in lines
    assert "floor_dashboard_connections 0.0" in lines
    assert 'floor_pipeline_received_total{kind="state"} 5.0' in lines
    assert 'floor_pipeline_applied_total{kind="state"} 2.0' in lines
    assert 'floor_pipeline_in_flight{kind="state"} 2.0' in lines
    assert 'floor_pipeline_quarantined_total{kind="other",reason="bad_topic"} 1.0' in lines
    assert 'floor_pipeline_unaccounted{kind="state"} 1.0' in lines, "5 received, 2 applied, 2 in flight: one is lost"
    assert 'floor_pipeline_unaccounted{kind="other"} 0.0' in lines
    assert 'floor_missing_reports_total{line="L1"} 4.0' in lines
    assert 'floor_missing_reports_filled_late_total{line="L1"} 3.0' in lines
    assert 'floor_pieces_held{equipment="bagger",line="L1"} 5.0' in lines
    assert 'floor_pieces_released_total{equipment="bagger",line="L1"} 6.0' in lines
    assert 'floor_pieces_refused_total{equipment="bagger",line="L1"} 7.0' in lines
    assert 'floor_max_rate_too_low{equipment="bagger",line="L1"} 1.0' in lines
    assert 'floor_unplaced_reports_total{line="L1"} 2.0' in lines
    assert 'floor_devices_ineffective{line="L1"} 1.0' in lines
    assert "floor_clock_held 1.0" in lines
    assert "S.3.C.R.3.T" not in text


async def test_history_comes_in_pages_byte_for_byte(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served:
        served.commit(status("L1"), status("L2"), call())
        bodies = [event.body for event in served.journal.events_after(0, limit=10)]
        first = await served.get("/api/events?limit=2", bearer())
        assert bodies[0] + b"," + bodies[1] in first.content
        second = await served.get(f"/api/events?limit=2&cursor={first.json()['cursor']}", bearer())
        assert [event["offset"] for event in second.json()["events"]] == [3]
        assert second.json()["cursor"] is None
        narrowed = await served.get("/api/events", bearer(roles=("viewer",), lines=["L2"]))
        assert [event["line_id"] for event in narrowed.json()["events"]] == ["L2"]


async def test_history_is_cut_by_time(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served:
        served.commit(call())
        for query, count in (
            ("from=2026-01-06T12:00:00Z", 1),
            ("from=2026-01-06T12:00:00.001Z", 0),
            ("to=2026-01-06T12:00:00Z", 0),
            ("to=2026-01-06T13:00:00.001%2B01:00", 1),
        ):
            answer = await served.get(f"/api/events?{query}", bearer())
            assert len(answer.json()["events"]) == count, query


async def test_the_snapshot_is_what_is_current_and_granted(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served:
        served.commit(status("L1"), status("L2"), status("L1", revision=2))
        answer = (await served.get("/api/snapshot", bearer(roles=("viewer",), lines=["L1"]))).json()
        assert [(event["line_id"], event["revision"]) for event in answer["events"]] == [("L1", 2)]
        assert answer["positions"]["main"]["offset"] == 3
        refused = await served.get("/api/snapshot?filter=%2B/%2B/L2/%23", bearer(roles=("viewer",), lines=["L1"]))
        assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN")


async def test_explain_answers_a_query_and_a_body_equally(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served:
        viewer = bearer(roles=("viewer",), lines=["L1"])
        query = "subscription_type=andon&target_id=L1&target_id=L2&priorities=high"
        response = await served.get(f"/api/explain?{query}", viewer)
        body = {"subscription_type": "andon", "target_id": ["L1", "L2"], "filters": {"priorities": ["high"]}}
        posted = await served.post("/api/explain", content=json.dumps(body).encode(), headers=viewer)
        assert response.status_code == 200
        assert response.json()["allowed"] is True
        assert response.json()["narrowed"] is True
        for answer in (response.json(), posted.json()):
            answer.pop("id")  # of an unnamed subscription
        assert response.json().keys() == posted.json().keys()
        assert response.json()["effective"] == posted.json()["effective"]


async def test_a_command_is_done_once(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served:
        for _ in range(2):
            answer = await served.post(
                "/api/commands",
                content=json.dumps(COMMAND).encode(),
                headers=bearer(roles=("maintenance",), lines=["L1"]),
            )
            assert answer.status_code == 200, answer.text
            assert answer.json()["outcome"] == "applied"
        assert served.published == ["command/north/pack/L1/_/andon"]


@pytest.mark.parametrize("path", ["/api/commands", "/api/explain"])
async def test_a_token_that_ends_while_the_body_comes_is_refused(tmp_path: Path, path: str) -> None:
    async with served_front(tmp_path) as served:
        async with httpx.AsyncClient(base_url=served.http) as client:
            headers = bearer(ttl=4.0)
            statuses: list[int] = []

            async def slow_body() -> AsyncIterator[bytes]:
                yield json.dumps(COMMAND).encode()[:-1]
                while 401 not in statuses:
                    statuses.append((await client.get("/api/snapshot", headers=headers)).status_code)
                yield b"}"

            answer = await client.post(path, content=slow_body(), headers=headers)
        assert statuses[0] == 200
        assert (answer.status_code, answer.json()["message"]) == (401, "the token has expired")
        assert not served.published


async def test_a_command_without_the_right_is_forbidden(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served:
        for headers, expected in (
            (bearer(roles=("viewer",), lines=["L1"]), 403),
            (bearer(roles=("maintenance",), lines=["L2"]), 403),
            ({}, 401),
            ({"Authorization": "Bearer a.b.c"}, 401),
            (bearer(ttl=-10), 401),
        ):
            answer = await served.post("/api/commands", content=json.dumps(COMMAND).encode(), headers=headers)
            assert answer.status_code == expected
        assert not served.published


async def test_the_answer_to_a_bearer_reveals_no_more_than_permitted(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served:
        for headers, message in (
            ({"Authorization": "Bearer a.b.c"}, "the token is not valid"),
            (bearer(ttl=-10), "the token has expired"),
        ):
            assert (await served.get("/api/snapshot", headers)).json()["message"] == message


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "INVALID_JSON"),
        (b"{", "INVALID_JSON"),
        (b'{"id":NaN}', "INVALID_JSON"),
        (b'{"id":[' + b"[]," * 10_000 + b"0]}", "INVALID_JSON"),
        (b'{"id":"a","id":"b"}', "INVALID_JSON"),
        (b"[]", "INVALID_MESSAGE"),
        (b"{}", "INVALID_MESSAGE"),
        (b'{"id":"a","action":"andon.paint","line_id":"L1"}', "INVALID_MESSAGE"),
        (b" " * 65_537, "LIMIT_EXCEEDED"),
    ],
)
async def test_a_bad_body_is_refused_with_its_code(tmp_path: Path, content: bytes, code: str) -> None:
    async with served_front(tmp_path) as served:
        answer = await served.post("/api/commands", content=content, headers=bearer())
    assert (answer.status_code, answer.json()["code"]) == (400, code)


@pytest.mark.parametrize(
    "path",
    ["/api/events?limit=x", "/api/events?limit=0", "/api/events?from=SECRET", "/api/events?from=2026-01-06T12:00:00",
     "/api/events?filter=a%23", "/api/events?cursor=SECRET", f"/api/snapshot?filter={'a' * 2000}",
     "/api/explain?strict=SECRET", "/api/events?filter=%00"],
)  # fmt: skip
async def test_a_bad_question_is_refused_and_not_repeated(tmp_path: Path, path: str) -> None:
    async with served_front(tmp_path) as served:
        answer = await served.get(path, bearer())
    assert answer.status_code == 400
    assert answer.json()["type"] == "error"
    assert "SECRET" not in answer.text


async def test_an_unknown_path_is_an_error_of_the_same_shape(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served:
        for path in ("/nowhere", "/docs", "/redoc", "/board/..%2fsettings.py", "/%2e%2e/settings.py"):
            answer = await served.get(path)
            assert (answer.status_code, answer.json()["message"]) == (404, "not found")
        assert (await served.post("/health/live", content=b"")).status_code == 405


async def test_an_internal_error_is_reported_without_its_text(tmp_path: Path) -> None:
    async with served_front(tmp_path, numbers=(_broken(),)) as served:
        with capture_logs() as logs:
            answer = await served.get("/metrics", bearer())
    assert (answer.status_code, answer.json()["message"]) == (500, "internal error")
    assert "SECRET" not in answer.text
    (fault,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert "SECRET" in str(fault["exc_info"])


def _broken() -> MetricSample:
    return MetricSample(Metric.CLOCK_HELD, "SECRET")  # type: ignore[arg-type]


async def test_the_contracts_are_served(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served:
        asyncapi, openapi = (await served.get("/asyncapi.json")).json(), (await served.get("/openapi.json")).json()
    assert asyncapi["asyncapi"] == "3.0.0"
    assert {"/api/events", "/api/snapshot", "/api/explain", "/api/commands", "/metrics", "/ws/events"} <= openapi[
        "paths"
    ].keys()


@pytest.mark.parametrize(
    ("path", "media_type"), [("/", "text/html"), ("/board.js", "text/javascript"), ("/board.css", "text/css")]
)
async def test_the_board_is_served_from_here_alone(tmp_path: Path, path: str, media_type: str) -> None:
    async with served_front(tmp_path) as served:
        answer = await served.get(path)
    assert answer.headers["content-type"].startswith(media_type)
    assert "://" not in answer.text
    assert "'unsafe-inline'" not in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/api/snapshot", "/ws/events", "/nowhere"])
async def test_every_answer_has_the_safe_headers(tmp_path: Path, path: str) -> None:
    async with served_front(tmp_path) as served:
        headers = (await served.get(path)).headers
    assert "default-src 'none'; script-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert not [name for name in headers if name.startswith("access-control-")]
