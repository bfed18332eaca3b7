"""The front's WebSocket over real sockets: places of a token, allowed origins, ends of a connection."""

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest
import websockets
from structlog.testing import capture_logs
from websockets import Subprotocol

from bridge.settings.web import WebSettings
from tests.support.certificates import self_signed
from tests.support.front_server import ServedFront, call, served_front
from tests.support.socket_dashboard import SocketDashboard, connected
from tests.support.tokens import bearer, token

SUBSCRIBE = {"type": "subscribe", "id": "a", "subscription_type": "line", "target_id": "all"}


def authenticated(served: ServedFront) -> AbstractAsyncContextManager[SocketDashboard]:
    return connected(served.ws, additional_headers=bearer())


async def test_a_first_frame_authenticates_and_events_follow(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served, connected(served.ws) as client:
        assert (await client.ask("auth", "auth_ok", token=token()))["user_id"] == "eva"
        await client.ask(SUBSCRIBE, "snapshot_end")
        served.commit(call())
        event = await client.receive("andon_event")
    assert event["data"]["call_id"] == "L1.call.1"
    assert event["offset"] == 1


@pytest.mark.parametrize("path", ["/ws", "/ws/"])
async def test_a_header_proves_it_too(tmp_path: Path, path: str) -> None:
    async with served_front(tmp_path) as served:
        url = f"ws://127.0.0.1:{served.port}{path}"
        async with connected(url, additional_headers=bearer()) as client:
            await client.ask(SUBSCRIBE, "subscription_confirmed")


@pytest.mark.parametrize("beside", [("floor.v1",), ("other", "floor.v1")])
async def test_a_subprotocol_proves_it_and_is_never_echoed(tmp_path: Path, beside: Sequence[str]) -> None:
    async with served_front(tmp_path) as served:
        offered = [Subprotocol(f"bearer.{token()}"), *map(Subprotocol, beside)]
        async with connected(served.ws, subprotocols=offered) as client:
            assert client.socket.subprotocol == "floor.v1"
            await client.ask(SUBSCRIBE, "subscription_confirmed")


async def test_a_token_in_the_query_counts_where_it_is_allowed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with served_front(tmp_path, WebSettings(token_in_query=True)) as served:
        text = token()
        quiet = logging.getLogger("test")
        async with connected(f"{served.ws}?token={text}", logger=quiet) as client:
            await client.ask(SUBSCRIBE, "subscription_confirmed")
    assert not [record for record in caplog.records if record.name != "test" and text in record.getMessage()]


async def test_a_token_in_the_query_counts_nowhere_else(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served, connected(f"{served.ws}?token={token()}") as client:
        assert (await client.ask(SUBSCRIBE, "error"))["code"] == "UNAUTHENTICATED"
        assert (await client.closed())[0] == 1008


async def test_an_invalid_token_ends_it(tmp_path: Path) -> None:
    headers = {"Authorization": "Bearer a.b.c"}
    async with served_front(tmp_path) as served, connected(served.ws, additional_headers=headers) as client:
        assert (await client.closed())[0] == 1008


async def test_silence_ends_it(tmp_path: Path) -> None:
    web = WebSettings(auth_timeout_seconds=0.1)
    async with served_front(tmp_path, web) as served, connected(served.ws) as client:
        assert (await client.closed())[0] == 4408


@pytest.mark.parametrize("header", ["", ",", "bearer.", "bearer.,floor.v1", 'a"b, c d', "\xe4", "floor.v2"])
async def test_a_bad_subprotocol_header_is_no_fault_of_ours(tmp_path: Path, header: str) -> None:
    async with served_front(tmp_path) as served:
        headers = {"Sec-WebSocket-Protocol": header}
        try:
            async with connected(served.ws, additional_headers=headers) as client:
                assert client.socket.subprotocol is None
        except (websockets.InvalidStatus, websockets.NegotiationError) as refused:
            status = getattr(getattr(refused, "response", None), "status_code", 400)
            answered = status < 500
        else:
            answered = True
        assert answered


@pytest.mark.parametrize(
    "origin", ["null", "http://evil.example", "http://127.0.0.1", "http://127.0.0.1:1.evil.example", "x" * 7_000]
)
async def test_a_page_of_another_origin_is_refused_before_the_upgrade(
    tmp_path: Path, origin: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with served_front(tmp_path) as served:
        with capture_logs() as logs, pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(served.ws, additional_headers={"Origin": origin, **bearer()})
    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body or b"")["code"] == "FORBIDDEN"
    host = f"127.0.0.1:{served.port}"
    shown = {"status": 403, "peer": "127.0.0.1", "path": "/ws", "host": host, "origin": origin[:200], "left_out": 0}
    assert logs == [{"event": "web.refused", "log_level": "info", **shown}]
    assert caplog.records == []


async def test_only_a_trusted_proxy_says_that_a_page_came_by_https(tmp_path: Path) -> None:
    for proxies, is_refused in (((), True), (("127.0.0.1",), False)):
        async with served_front(tmp_path, WebSettings(trusted_proxies=proxies)) as served:
            origin = served.http.replace("http:", "https:")
            headers = {"Origin": origin, "X-Forwarded-Proto": "https", **bearer()}
            with pytest.raises(websockets.InvalidStatus) if is_refused else contextlib.nullcontext():
                async with connected(served.ws, additional_headers=headers) as client:
                    await client.ask(SUBSCRIBE, "subscription_confirmed")


async def test_the_servers_own_pages_and_those_of_the_list_may_connect(tmp_path: Path) -> None:
    async with served_front(tmp_path, WebSettings(allowed_origins=("https://wall.example",))) as served:
        for origin in (served.http, "https://wall.example"):
            async with connected(served.ws, additional_headers={"Origin": origin, **bearer()}) as client:
                await client.ask(SUBSCRIBE, "subscription_confirmed")


async def test_a_binary_frame_is_an_invalid_message_and_the_connection_stays_open(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served, authenticated(served) as client:
        await client.send_text(b"\x00\x01")
        assert (await client.receive("error"))["code"] == "INVALID_MESSAGE"
        await client.ask(SUBSCRIBE, "subscription_confirmed")


async def test_a_frame_over_the_limit_ends_with_1009(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served, authenticated(served) as client:
        await client.send_text("x" * 65_537)
        assert (await client.closed())[0] == 1009


async def test_one_connection_too_many_ends_with_4429(tmp_path: Path) -> None:
    async with (
        served_front(tmp_path, WebSettings(max_connections=1)) as served,
        authenticated(served) as first,
        authenticated(served) as second,
    ):
        assert (await second.closed())[0] == 4429
        await first.ask(SUBSCRIBE, "subscription_confirmed")
        assert 'floor_web_refused_total{bound="max_connections"} 1.0' in (await served.get("/metrics", bearer())).text


async def test_sockets_on_which_nobody_authenticates_lock_no_user_out(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        served = await stack.enter_async_context(served_front(tmp_path, WebSettings(max_connections=60)))
        for _ in range(60):
            await stack.enter_async_context(connected(served.ws))
        async with authenticated(served) as client:
            await client.ask(SUBSCRIBE, "subscription_confirmed")


async def test_a_restart_states_when_to_reconnect(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served:
        client = SocketDashboard(await websockets.connect(served.ws, additional_headers=bearer()))
        await client.ask(SUBSCRIBE, "snapshot_end")
    code, reason = await client.closed()
    assert code == 1012
    assert json.loads(reason)["retry_after"] >= 0


async def test_behind_a_prefix_that_a_proxy_strips_all_is_found(tmp_path: Path) -> None:
    async with served_front(tmp_path, WebSettings(root_path="/floor")) as served, authenticated(served) as client:
        await client.ask(SUBSCRIBE, "subscription_confirmed")
        for path in ("/", "/board.js", "/health/live", "/ws/events"):
            assert (await served.get(path)).status_code == 200


async def test_with_a_certificate_it_speaks_tls(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    web = WebSettings(tls_cert_file=certificate, tls_key_file=key)
    trust = ssl.create_default_context(cafile=str(certificate))
    async with served_front(tmp_path, web) as served:
        origin = f"https://localhost:{served.port}"
        headers = {"Origin": origin, **bearer()}
        url = f"wss://localhost:{served.port}/ws"
        async with connected(url, ssl=trust, additional_headers=headers) as client:
            await client.ask(SUBSCRIBE, "subscription_confirmed")
        async with httpx.AsyncClient(verify=trust) as http:
            assert (await http.get(f"{origin}/health/live")).status_code == 200
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(
                url, ssl=trust, additional_headers={"Origin": f"http://localhost:{served.port}", **bearer()}
            )


async def test_head_has_the_answer_of_get_without_its_body(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served:
        served.commit(call())
        paths = (await served.get("/openapi.json")).json()["paths"]
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)

        async def answer(method: str, path: str) -> tuple[bytes, dict[bytes, bytes]]:
            """Return the status line and the headers; what follows is the next answer, or not read."""
            head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {bearer()['Authorization']}\r\n\r\n"
            writer.write(head.encode())
            status, *fields = (await reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n").split(b"\r\n")
            return status, dict(field.split(b": ", 1) for field in fields if not field.startswith(b"date"))

        gets = [path for path, methods in paths.items() if "get" in methods]
        assert "/health/live" in gets
        for path in ("/", "/board.js", *gets):
            without = await answer("HEAD", path)
            whole = await answer("GET", path)
            await reader.readexactly(int(whole[1][b"content-length"]))
            if path != "/metrics":  # its length may differ from one request to the next
                assert without == whole, path
        status, _ = await answer("HEAD", "/api/commands")
        assert status == b"HTTP/1.1 405 Method Not Allowed"
        writer.close()
        await writer.wait_closed()
