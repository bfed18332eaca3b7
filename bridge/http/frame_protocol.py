"""Parser of a client's frames: that of websockets, less strict where RFC 6455 is."""

from typing_extensions import override
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol


class FrameProtocol(Protocol):
    """Answers a close frame within a message as any other (RFC 6455 5.4); websockets fails the connection with 1002."""

    @override
    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None  # the message that was begun does not end
        super().recv_frame(frame)
