"""Clients that are gone while their address owes: what they have left is not done, at whatever stage it waits."""

import asyncio
import socket

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from websockets.frames import Opcode

from bridge.domain.steps import Steps
from bridge.http.load import ServerLoad
from bridge.http.peers import WORK_BURST_SECONDS, WorkAccount
from bridge.http.requester import Requester
from bridge.settings.web import WebSettings
from tests.http.served_sockets import DEADLINE, RawClient, SocketApp, masked, served
from tests.support.brokers import until

GET = b"GET /http HTTP/1.1\r\nHost: localhost\r\n\r\n"
WEB = WebSettings(max_work_per_address=1_000)


@pytest.mark.parametrize("is_gone", [True, False])
async def test_what_waits_behind_a_debt_is_done_only_for_clients_that_are_there(*, is_gone: bool) -> None:
    load, app = ServerLoad(WEB), SocketApp(user=None)
    requests: list[Request] = []

    async def answer(request: Request) -> Response:
        requests.append(request)
        return Response()

    async with served(Starlette(routes=[Route("/http", answer), Mount("/", app)]), load=load) as port:
        kept = RawClient(*await asyncio.open_connection("127.0.0.1", port))
        kept.writer.write(GET)
        await asyncio.wait_for(kept.reader.readuntil(b"\r\n\r\n"), DEADLINE)
        opened = await RawClient.connect(port)
        await opened.upgraded()
        recorder = await app.newest()
        load.peers.address("127.0.0.1").work.take(1_000 * WORK_BURST_SECONDS + 300, load.clock())
        new = RawClient(*await asyncio.open_connection("127.0.0.1", port))
        for client, data in ((kept, GET), (new, GET), (opened, masked(Opcode.TEXT, b"token"))):
            client.writer.write(data)
            if is_gone:
                client.close()
        if not is_gone:
            await until(lambda: len(requests) == 3 and bool(recorder.messages), what="the debt is paid")
            for client in (kept, new, opened):
                client.close()
        await until(lambda: len(load.pool) == 0, what="all connections have ended")
    assert (len(requests), recorder.messages) == ((1, []) if is_gone else (3, ["token"]))
    assert load.faults == 0


async def test_the_token_of_a_request_whose_client_is_gone_is_not_looked_at() -> None:
    load = ServerLoad(WEB)
    ours, theirs = socket.socketpair()
    account = WorkAccount(load.peers, "10.0.0.1", ours)
    looked_at = []

    def steps() -> Steps[None]:
        looked_at.append(True)
        yield

    account.address.has_owed = True
    await Requester(load, account).run(steps())
    account.address.has_owed = True
    theirs.close()
    with pytest.raises(ClientDisconnect):
        await Requester(load, account).run(steps())
    assert looked_at == [True]
    ours.close()
