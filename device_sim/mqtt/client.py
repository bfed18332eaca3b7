"""An MQTT client whose connection may break at any moment, and be broken on purpose."""

import asyncio
import contextlib
import logging
import socket
from typing import Any, Final

import aiomqtt
import paho.mqtt.client as paho

# The run reports by itself which device lost its connection; the library names none, and would print to stderr.
UNREAD_LOG: Final = logging.getLogger("device_sim.mqtt")
UNREAD_LOG.disabled = True


class BreakableConnection(aiomqtt.Client):
    """An MQTT client whose connection may break at any moment.

    aiomqtt registers a socket with the event loop by its file descriptor, one iteration after reading it. If the socket
    closes in between, the descriptor is invalid or belongs to another connection. And the error of a connection that
    breaks while unused is never retrieved, which asyncio would log.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, logger=UNREAD_LOG, **options)
        self._disconnected.add_done_callback(_retrieve_error)

    def has_ended(self) -> bool:
        """Return whether the connection is over."""
        return self._disconnected.done()

    def _on_socket_register_write(self, client: paho.Client, userdata: Any, sock: Any) -> None:  # noqa: ARG002 - paho
        self._loop.call_soon_threadsafe(self._add_writer, sock)

    def _add_writer(self, sock: socket.socket) -> None:
        if sock.fileno() >= 0:
            self._loop.add_writer(sock.fileno(), self._write)

    def _write(self) -> None:
        try:
            self._client.loop_write()
        except Exception as error:  # noqa: BLE001 - as in aiomqtt: after any error the connection is lost
            if not self._disconnected.done():
                self._disconnected.set_exception(error)


def _retrieve_error(disconnected: asyncio.Future[None]) -> None:
    if not disconnected.cancelled():
        disconnected.exception()


def sever(client: aiomqtt.Client) -> None:
    """Close a connection without a DISCONNECT, as a power cut does: the broker publishes its Will."""
    connected = client._client.socket()  # noqa: SLF001 - aiomqtt cannot close without a DISCONNECT
    if isinstance(connected, socket.socket):  # a TLS socket is one, too
        with contextlib.suppress(OSError):  # already closed
            connected.shutdown(socket.SHUT_RDWR)
