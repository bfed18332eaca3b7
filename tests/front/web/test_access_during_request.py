"""Access that ends while a request is under way: nothing is done for it, and nothing sent, after that."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.domain.access.policy import Policy
from bridge.domain.access.revocations import Revocations
from tests.support.front_server import ServedFront, call, served_front
from tests.support.tokens import bearer

COMMAND = {"id": "c1", "action": "andon.acknowledge", "line_id": "L1", "call_id": "L1.call.1"}
NARROW = Policy.parse('[roles.viewer]\nread = ["+/+/{line}/+/job/#"]')


def revoke(served: ServedFront) -> None:
    served.authenticator.revocations = Revocations(users=frozenset({"eva"}))


def narrow(served: ServedFront) -> None:
    served.authenticator.policy = NARROW


@pytest.mark.parametrize("path", ["/api/commands", "/api/explain"])
@pytest.mark.parametrize(("change", "status"), [(revoke, b"401"), (narrow, b"403")])
async def test_a_body_that_was_held_until_access_ended_is_refused(
    tmp_path: Path, path: str, change: Callable[[ServedFront], None], status: bytes
) -> None:
    body = COMMAND if path == "/api/commands" else {"subscription_type": "andon", "strict": True}
    content = json.dumps(body).encode()
    async with served_front(tmp_path) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        authorization = bearer()["Authorization"]
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {authorization}\r\nConnection: close\r\n"
        writer.write(f"{head}Expect: 100-continue\r\nContent-Length: {len(content)}\r\n\r\n".encode())
        waiting = await reader.readuntil(b"\r\n\r\n")
        writer.write(content[:9])
        change(served)
        writer.write(content[9:])
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        published = served.published
    assert waiting.startswith(b"HTTP/1.1 100 "), "authenticated, and waiting for the body"
    assert published == []
    if path == "/api/explain" and change is narrow:
        assert b'"allowed":false' in answer
    else:
        assert answer.split()[1] == status


@pytest.mark.parametrize("path", ["/api/events", "/api/snapshot"])
@pytest.mark.parametrize(("change", "status"), [(revoke, 401), (narrow, 503)])
async def test_what_was_read_until_access_ended_is_not_sent(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    change: Callable[[ServedFront], None],
    status: int,
) -> None:
    async with served_front(tmp_path) as served:
        served.commit(call("L1.call.77"))
        name = "read_history" if path == "/api/events" else "read_snapshot"
        read = getattr(served.front, name)

        async def read_slowly(*arguments: Any, **options: Any) -> Any:
            result = await read(*arguments, **options)
            change(served)
            return result

        viewer = bearer(roles=("viewer",), lines=["L1"])
        assert b"L1.call.77" in (await served.get(path, viewer)).content
        monkeypatch.setattr(served.front, name, read_slowly)
        answer = await served.get(path, viewer)
        assert answer.status_code == status
        assert b"L1.call.77" not in answer.content
        assert (await served.get(path, viewer)).status_code == (401 if change is revoke else 200)
