"""Port of one open WebSocket to a dashboard: encoded frames out, messages in, without a task or a queue of its own."""

from collections.abc import Callable, Generator
from typing import Protocol


class SocketHandler(Protocol):
    """Takes what happens on one socket. All calls come on the event loop's thread, none after `disconnected`."""

    def message_received(self, message: str | bytes) -> None:
        """Take one complete message of the client: text, or binary."""

    def writable(self) -> None:
        """The client has read on: `is_writable` is True again."""

    def disconnected(self) -> None:
        """The client is gone, or has closed the socket."""


class DashboardSocket(Protocol):
    """One open WebSocket. No method waits or raises; after the end, of either side, they have no effect."""

    @property
    def is_writable(self) -> bool:
        """Return False while more than a bounded number of bytes waits for the client: write no more then."""

    @property
    def unsent_bytes(self) -> int:
        """Return the number of bytes that still wait for the client: while it does not shrink, they are not read."""

    @property
    def has_unread(self) -> bool:
        """Return whether something that the client has sent waits for its turn: then the client is not late."""

    def write(self, frames: bytes) -> None:
        """Send encoded WebSocket frames in one write; one bytes object may go to any number of sockets."""

    def authenticated(self, user_id: str) -> None:
        """From now on the work for this client is this user's, and within a user's budgets."""

    def charge(self, ms: float) -> None:
        """Let the user pay for ms of the event loop that their request has taken elsewhere."""

    def in_turn(self, work: Callable[[], None]) -> None:
        """Do this work later, when others have had their turn."""

    def run_steps(self, steps: Generator[None, None, None]) -> None:
        """Do this work, of steps of at most some 0.5 ms, while others have their turns; they never raise.

        No message is passed on before its end. At the end of the socket it is closed.
        """

    def pause_reading(self) -> None:
        """Pass on no more messages of the client."""

    def resume_reading(self) -> None:
        """Pass on the client's messages again, later."""

    def close(self, code: int, reason: str) -> None:
        """Send a close frame behind all that is written, and end; `disconnected` is not called for it.

        `reason` has at most 123 bytes (RFC 6455 5.5).
        """
