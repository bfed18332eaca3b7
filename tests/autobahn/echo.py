"""Echo server for the Autobahn test suite: the bridge's own WebSocket server, with an app that returns each message."""

from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope, Send
from websockets.frames import Frame, Opcode

from bridge.http.hand_over import hand_over
from bridge.ports.dashboard_socket import DashboardSocket
from bridge.protocol.websocket_frames import text_frames
from bridge.settings.web import WebSettings

SETTINGS: Final = WebSettings(
    max_frame_bytes=1_048_576,  # the largest message of the cases has 256 KiB
    max_bytes_per_second=16_777_216,  # a frame counts for 256 bytes at least, and some cases send a byte in each
    max_work_per_user=1_000,
)


@dataclass
class Echo:
    """Returns text as text, and bytes as bytes."""

    socket: DashboardSocket

    def __post_init__(self) -> None:
        self.socket.authenticated("tester")

    def message_received(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self.socket.write(text_frames([message.encode()]))
        else:
            self.socket.write(Frame(Opcode.BINARY, message).serialize(mask=False))

    def writable(self) -> None:
        pass

    def disconnected(self) -> None:
        pass


async def echo_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Accept every WebSocket."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    hand_over(scope, Echo)
