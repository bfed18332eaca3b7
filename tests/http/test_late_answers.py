"""Answers to clients that are gone, over TLS."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from bridge.http.answer_parts import PART_BYTES
from bridge.http.load import ServerLoad
from bridge.settings.web import WebSettings
from tests.http.served_sockets import served
from tests.support.brokers import until
from tests.support.certificates import self_signed

NEXT = b"GET /next HTTP/1.1\r\nHost: localhost\r\n\r\n"


def connect_tls(port: int) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # it gets no tickets: unread ones would make its end a reset
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port)))


async def test_a_large_answer_to_a_client_that_is_gone_is_no_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    served_paths: list[str] = []
    may_answer, returned = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        served_paths.append(scope["path"])
        await may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _n in range(20):
            await send({"type": "http.response.body", "body": b"a" * PART_BYTES, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        returned.set()

    certificate, key = self_signed(tmp_path)
    load = ServerLoad(WebSettings(tls_cert_file=certificate, tls_key_file=key))
    async with served(app, load=load) as port:
        client = await asyncio.to_thread(connect_tls, port)
        client.sendall(NEXT * 50)
        await until(lambda: len(served_paths) == 1, what="it is served")
        client.close()
        await asyncio.sleep(0.1)  # uvloop sees the end, and waits until what waits is read
        may_answer.set()
        await until(returned.is_set, what="it is answered")
        await until(lambda: len(load.pool) == 0, what="it has ended")
    assert (load.faults, load.ended) == (0, {})
    assert caplog.records == []
