"""The keepalive of a paho client: pings at a fixed interval, whatever else is sent or received.

Paho pings only when nothing is sent or nothing is received, and gives up only when nothing is received. Both hide a
connection of which one direction is dead. So paho's keepalive, which is all of `loop_misc`, is used until the CONNACK.
"""

import time

import paho.mqtt.client as paho


class Keepalive:
    """Pings, and says when answers have been missing for too long. Times are those of `time.monotonic`, in seconds.

    A ping is sent every half of `seconds`, and its answer may take one and a half: with them a dead connection is
    noticed within twice `seconds`. The answer waits behind all that the broker has sent before it.
    """

    def __init__(self, client: paho.Client, seconds: int) -> None:
        self._client = client
        self._seconds = seconds
        self._pinged_at = self._answered_at = time.monotonic()

    def check(self, *, reading: bool) -> str | None:
        """Ping if it is time to; return the reason if the connection must be given up.

        Call it several times in a second. While nothing is read, `reading` is False: an answer may lie unread.
        """
        now = time.monotonic()
        if not self._client.is_connected():
            self._client.loop_misc()  # gives up a CONNECT without a CONNACK
            return None
        is_answered = self._client._ping_t == 0  # noqa: SLF001 - no public way to know
        if is_answered or not reading:
            self._answered_at = now
        elif now - self._answered_at >= 1.5 * self._seconds:
            return f"no answer to a ping within {1.5 * self._seconds:g} s"
        # MQTT 5 3.2.2.3.14: the broker may ask for a shorter keepalive, which paho takes over; 0 is none
        if now - self._pinged_at >= min(self._seconds, self._client.keepalive or self._seconds) / 2:
            self._client._send_pingreq()  # noqa: SLF001 - no public way to ping
            self._pinged_at = now
        return None

    def note_answer(self) -> None:
        """Take any other answer for one to a ping: the broker comes to the ping after what was sent before it."""
        self._answered_at = time.monotonic()
