"""The keepalive of a paho client: a ping in every interval, whatever else is sent or received.

Paho pings only when nothing is sent or nothing is received, and gives up only when nothing is received. Both hide a
connection of which one direction is dead.
"""

import time

import paho.mqtt.client as paho


class Keepalive:
    """Pings, and says when the answer is overdue. Times are those of `time.monotonic`, in seconds."""

    def __init__(self, client: paho.Client, seconds: int) -> None:
        self._client = client
        self._seconds = seconds
        self._pinged_at = time.monotonic()

    def check(self) -> str | None:
        """Ping if it is time to; return why the connection is lost if a PINGRESP is overdue."""
        now = time.monotonic()
        waiting_since = self._client._ping_t  # noqa: SLF001 - no public way to know; 0: no PINGRESP is awaited
        if waiting_since > 0:
            return f"no answer to a ping within {self._seconds} s" if now - waiting_since >= self._seconds else None
        if now - self._pinged_at >= self._seconds and self._client.is_connected():
            self._client._send_pingreq()  # noqa: SLF001 - no public way to ping
            self._pinged_at = now
        return None

    def forget_ping(self) -> None:
        """Await no PINGRESP: while nothing is read, its absence proves nothing."""
        self._client._ping_t = 0.0  # noqa: SLF001 - as above

    def note_answer(self) -> None:
        """Restart the time limit of a PINGRESP: the broker has answered a packet that it received before the ping."""
        if self._client._ping_t > 0:  # noqa: SLF001 - as above
            self._client._ping_t = time.monotonic()  # noqa: SLF001 - as above
