"""protocol.md, «HTTP»: open resources, those of admins, and those that need grants."""

from collections import Counter

import pytest

from tests.support.bridge_process import BridgeProcess
from tests.support.socket_dashboard import dashboard, http
from tests.support.tokens import token

pytestmark = pytest.mark.asyncio(loop_scope="module")

OLGA = token(user="olga", roles=("operator",), lines=["L3"])


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("/health/live", (200, 200, 200)),
        ("/health/ready", (200, 200, 200)),
        ("/ws/events", (200, 200, 200)),
        ("/asyncapi.json", (200, 200, 200)),
        ("/openapi.json", (200, 200, 200)),
        ("/", (200, 200, 200)),
        ("/metrics", (401, 403, 200)),
        ("/ws/health", (401, 403, 200)),
        ("/api/events", (401, 200, 200)),
        ("/api/snapshot", (401, 200, 200)),
        ("/api/explain?subscription_type=line", (401, 200, 200)),
        ("/api/snapshot?filter=%2B/%2B/L1/%23", (401, 403, 200)),
        ("/api/events?filter=a%23", (401, 400, 400)),
        ("/api/events?limit=0", (401, 400, 400)),
        ("/api/events?cursor=x:1", (401, 400, 400)),
        ("/nothing", (404, 404, 404)),
    ],
)
async def test_http_requires_a_token(busy_bridge: BridgeProcess, path: str, statuses: tuple[int, int, int]) -> None:
    nobody, operator, admin = statuses
    for proof, status in ((None, nobody), (OLGA, operator), (token(), admin), ("a.b.c", nobody)):
        answer = await http(busy_bridge.port, path, proof)
        assert answer.status == status, (path, answer.body[:200])
        if status >= 400:
            assert answer.data["type"] == "error"
            assert answer.data["code"].isupper()
        if status == 401:
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_catalogue_names_all_types(busy_bridge: BridgeProcess) -> None:
    catalogue = (await http(busy_bridge.port, "/ws/events")).data
    assert (len(catalogue["event_types"]), len(catalogue["subscription_types"])) == (13, 10)


async def test_statistics_count_and_their_ledger_adds_up(busy_bridge: BridgeProcess) -> None:
    async with dashboard(busy_bridge.port) as board:
        await board.snapshot(id="s", subscription_type="andon")
        health = (await http(busy_bridge.port, "/ws/health", token())).data
        assert (health["connections"], health["subscriptions"]) == (1, {"andon": 1})
        assert (health["cohorts"], health["catching_up"], health["events_behind"]) == (1, 0, 0)
        sums = Counter(health["ledger"]["sent"]) + Counter(health["ledger"]["conflated"])
        assert health["ledger"]["matched"] == sums
        metrics = busy_bridge.metrics()
        assert 'floor_dashboard_subscriptions{subscription_type="andon"} 1.0' in metrics
        assert "floor_pipeline_received" in metrics


async def test_history_comes_in_pages_without_hole_or_double(busy_bridge: BridgeProcess) -> None:
    filter_text = "%2B/%2B/%2B/%2B/job/%23"
    all_events = (await http(busy_bridge.port, f"/api/events?filter={filter_text}&limit=1000", token())).data["events"]
    assert all_events
    pages, cursor = [], ""
    while True:
        path = f"/api/events?filter={filter_text}&limit=1{cursor}"
        page = (await http(busy_bridge.port, path, token())).data
        pages += page["events"]
        if page["cursor"] is None:
            break
        cursor = f"&cursor={page['cursor']}"
    assert pages == all_events
    first = all_events[0]["timestamp"]
    cut = (await http(busy_bridge.port, f"/api/events?filter={filter_text}&to={first}", token())).data
    assert cut["events"] == []
    since = (await http(busy_bridge.port, f"/api/events?filter={filter_text}&from={first}&limit=1000", token())).data
    assert since["events"] == all_events


async def test_a_snapshot_over_http_is_that_of_a_subscription(busy_bridge: BridgeProcess) -> None:
    path = "/api/snapshot?filter=%2B/%2B/L1/%2B/andon/%23"
    async with dashboard(busy_bridge.port) as board:
        while True:
            answer = (await http(busy_bridge.port, path, token())).data
            event_list = await board.snapshot(id="s", subscription_type="andon", target_id="L1")
            if answer["events"] == event_list:
                break
        assert answer["effective"] == ["+/+/L1/+/andon/#"]


@pytest.mark.parametrize("path", ["/api/snapshot?filter=", "/api/events?filter=", "/api/explain?mqtt_filter="])
async def test_a_filter_of_whole_topics_is_refused_with_what_to_leave_out(
    busy_bridge: BridgeProcess, path: str
) -> None:
    answer = await http(busy_bridge.port, f"{path}floor/v1/event/%2B/%2B/L1/%23", token())
    assert (answer.status, answer.data["code"]) == (400, "INVALID_MESSAGE")
    assert answer.data["message"] == "leave floor/v1/event/ out: a filter is relative to it"
    assert (await http(busy_bridge.port, f"{path}%2B/%2B/L1/%23", token())).status == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"id": "x", "action": "andon.dance", "line_id": "L3"}, 400, "INVALID_MESSAGE"),
        ({"id": "x", "action": "changeover.complete", "line_id": "L3"}, 403, "FORBIDDEN"),
        ({"id": "x", "action": "andon.raise", "andon_type": "safety", "line_id": "L1"}, 403, "FORBIDDEN"),
        ([], 400, "INVALID_MESSAGE"),
    ],
)
async def test_a_wrong_command_is_refused(busy_bridge: BridgeProcess, body: object, status: int, code: str) -> None:
    answer = await http(busy_bridge.port, "/api/commands", OLGA, body)
    assert (answer.status, answer.data["code"]) == (status, code)
