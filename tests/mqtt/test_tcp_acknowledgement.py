"""TCP acknowledgement of what the link reads: at once, since Nagle's algorithm makes Mosquitto wait for it."""

import asyncio
import fcntl
import struct
import termios

import pytest

from tests.support.brokers import linked
from tests.support.scripted_broker import PUBACK, Peer, publish, scripted_link

ROUNDS = 20


@pytest.mark.parametrize("reader", ["one-pass", "paho"])
async def test_nagle_has_no_reason_to_hold_a_small_packet_back(reader: str) -> None:
    """By itself Linux delays acknowledgements for 40 ms, in the hope that an answer carries them.

    Here it has acknowledged a PUBLISH when that is received, before there is a PUBACK.
    """
    peers: asyncio.Queue[Peer] = asyncio.Queue()
    over = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.admit()
        peers.put_nowait(peer)
        await over.wait()

    unacknowledged = []
    async with scripted_link(serve, reader=reader) as link, linked(link):
        peer = await peers.get()
        for packet_id in range(1, ROUNDS + 1):
            peer.writer.write(publish("a/b", b"1", packet_id=packet_id))
            messages = await link.receive(most=1)
            unacknowledged.append(unacknowledged_bytes(peer))
            link.acknowledge(messages)
            await peer.expect(PUBACK)
        over.set()
    assert max(unacknowledged) == 0


def unacknowledged_bytes(peer: Peer) -> int:
    """Return how many bytes this end sent, or holds back, that the other end's kernel has not acknowledged."""
    answer = fcntl.ioctl(peer.writer.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))  # tcp(7): SIOCOUTQ
    return int(struct.unpack("i", answer)[0])
