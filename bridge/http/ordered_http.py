"""HTTP requests in the order of their connection: rules of RFC 9110 and 9112 that uvicorn does not follow."""

import sys
from typing import Final, cast

import httptools
from typing_extensions import override
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

LISTS: Final = (b"connection", b"upgrade", b"sec-websocket-protocol", b"sec-websocket-extensions")
LIST_BYTES: Final = 1_024  # of these headers together, which are taken apart item by item


class OrderedHttp(HttpToolsProtocol):
    """Takes requests out of its input; a subclass says when, and in which slices.

    An upgrade to anything but a WebSocket is ignored. One to a WebSocket waits until the requests before it are
    answered. After an invalid request nothing is read, and the requests before it are answered.
    """

    _input = b""
    _slice = b""  # that is being parsed
    _in_head = True
    _in_body = False
    _list_bytes = 0
    _served: RequestResponseCycle | None = None  # the first unanswered one
    _is_invalid = False  # the input after the last request

    @property
    def _is_answering(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    @property
    def _ignores_upgrade(self) -> bool:
        return self.parser.should_upgrade() and not self._should_upgrade()

    def _parse(self, size: int) -> None:
        """Parse at most this many bytes of the input."""
        self._slice, self._input = self._input[:size], self._input[size:]
        super().data_received(self._slice)
        self._slice = b""

    def _take_rest(self) -> bytes:
        """Return what follows the head with an upgrade, while that is handled; there is no input any more."""
        upgrade = sys.exception()
        assert isinstance(upgrade, httptools.HttpParserUpgrade)
        rest, self._input = self._slice[upgrade.args[0] :] + self._input, b""
        return rest

    def _parse_again(self, *, with_upgrade: bool) -> None:
        """Put the head just parsed in front of the input again: with an upgrade the parser expected no body."""
        start = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        fields = [b"%b: %b" % field for field in self.headers if with_upgrade or field[0] != b"upgrade"]
        self._input = b"\r\n".join([start, *fields, b"", b""]) + self._take_rest()
        self._in_head = True
        self.parser = httptools.HttpRequestParser(self)  # a former one reads nothing behind `Connection: close`
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's

    # Calls of the transport.

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        served, self._served = self._served, None
        if served is not None and not served.response_complete:  # uvicorn tells only the last that was parsed
            served.disconnected = True
            served.message_event.set()
        super().connection_lost(exc)

    # Calls of the parser.

    @override
    def on_message_begin(self) -> None:
        self._in_head, self._list_bytes = True, 0
        super().on_message_begin()

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:  # RFC 9110 6.5.1: trailers are not merged
            return
        super().on_header(name, value)
        if self.headers[-1][0] in LISTS:
            self._list_bytes += len(value)
            if self._list_bytes > LIST_BYTES:
                raise ValueError("a list of options is too long")  # 400

    @override
    def on_headers_complete(self) -> None:
        self._in_head = False
        if self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False  # RFC 9110 10.1.1
        if not self._ignores_upgrade:
            super().on_headers_complete()
        self._in_body = True

    @override
    def on_message_complete(self) -> None:
        self._in_body = False
        if not self._ignores_upgrade:
            super().on_message_complete()

    @override
    def _should_upgrade(self) -> bool:
        return self.parser.get_http_version() != "1.0" and super()._should_upgrade()  # RFC 9110 7.8

    @override
    def _unsupported_upgrade_warning(self) -> None:
        if self.parser.get_method() == b"CONNECT":  # an upgrade without a header
            self.send_400_response("CONNECT is not supported.")
        else:
            self._parse_again(with_upgrade=False)

    @override
    def send_400_response(self, msg: str) -> None:
        self._is_invalid = True
        is_in_time = self._in_body and self._served is self.cycle and not self.cycle.response_started
        if is_in_time or not self._is_answering:
            self._in_body = False
            super().send_400_response(msg)
        else:
            self.cycle.keep_alive = False

    # Requests and their answers.

    @override
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._served = cycle
        if self._is_invalid and self._in_body and cycle is self.cycle:
            self._in_body = False
            self.transport.close()  # its body never ends
            return
        super()._start_asgi_task(cycle, app)
