"""A WebSocket's handshake: uvicorn's, until the app refuses it, or accepts it and hands it over."""

import asyncio
from http import HTTPStatus
from typing import Any, Final

from typing_extensions import override
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from bridge.http.hand_over import HAND_OVER, OpenSocket
from bridge.http.load import ServerLoad
from bridge.http.peers import WorkAccount, host_of
from bridge.http.websocket import WebSocketConnection


class _HandedOver(asyncio.Transport):
    """In place of a transport that is no longer the handshake's: the end of the ASGI app does not close it."""

    @override
    def is_closing(self) -> bool:
        return True

    @override
    def close(self) -> None:
        pass


_HANDED_OVER: Final = _HandedOver()
BAD_REQUEST_RESPONSE: Final = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class HandshakeWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket until it is open: the app refuses it, or accepts it and hands it over to a WebSocketConnection."""

    account: WorkAccount | None = None  # from the request on, until it is handed over
    _early = b""

    def __init__(self, load: ServerLoad, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load = load

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._load.pool.remove(self.transport)
        if self.account is not None:
            self.account.close()
        super().connection_lost(exc)
        self.conn.parser.close()  # a generator that refers to `conn`
        self.conn.handshake_exc = None  # so does its traceback

    @override
    def data_received(self, data: bytes) -> None:
        if self.handshake_initiated:
            self._early += data
            self.transport.pause_reading()
            return
        super().data_received(data)
        if not self.handshake_initiated:  # websockets refuses the head: uvicorn would neither answer nor close
            answer = b"".join(self.conn.data_to_send()) or BAD_REQUEST_RESPONSE  # nothing: the request has a body
            self._load.note_refusal(int(answer.split(b" ", 2)[1]), peer=host_of(self.client))
            self.handshake_initiated = self.handshake_complete = self.close_sent = True
            self.transport.write(answer)
            self.transport.close()
        elif self.close_sent:  # the head is no handshake
            self._load.note_refusal(self.response.status_code, peer=host_of(self.client))

    @override
    def shutdown(self) -> None:
        if not self.transport.is_closing():  # else an answer is on its way, or nobody is there for one
            super().shutdown()

    @override
    async def run_asgi(self) -> None:
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[HAND_OVER] = self._hand_over
        try:
            await super().run_asgi()
        finally:
            del extensions[HAND_OVER]  # refers to us, and we to the scope
            self.conn.parser.close()

    @override
    async def send(self, message: ASGISendEvent) -> None:
        is_refusal = message["type"] == "websocket.close" and not self.handshake_complete
        await super().send(message)
        if is_refusal:  # a path without a WebSocket; a response is counted by `request_checks`
            self._load.note_refusal(HTTPStatus.FORBIDDEN, peer=host_of(self.scope["client"]))
        if self.close_sent:  # uvicorn misses this for a refusal with a response, and logs an error
            self.handshake_complete = True

    def _hand_over(self, open_socket: OpenSocket) -> None:
        self.stop_keepalive()
        self.handshake_complete = True  # or there is nobody left to answer
        if self.transport.is_closing():  # its end is still ours
            return
        transport, self.transport = self.transport, _HANDED_OVER
        account, self.account = self.account, None
        assert account is not None, "set with the request"
        client = self.scope["client"]
        if client is not None and client != self.client:
            account.forward(client[0])
            self._load.pool.add(transport, account.address)
        connection = WebSocketConnection(transport, self.connections, load=self._load, account=account)
        transport.set_protocol(connection)
        self.connections.discard(self)
        if self._early:
            transport.resume_reading()
        connection.open(open_socket, self._early)
