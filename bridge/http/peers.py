"""Peers: users and addresses, the work that each of them may cause, and the work accounts of connections."""

import ipaddress
import select
import socket
from dataclasses import dataclass
from enum import Enum
from itertools import count
from typing import Final

from uvicorn.middleware.proxy_headers import _TrustedHosts

from bridge.ports.clock import Monotonic, perf_counter_ms
from bridge.protocol.token_bucket import TokenBucket
from bridge.settings.web import WebSettings

WORK_BURST_SECONDS: Final = 5  # of its rate, that a peer may cause at once; and owe at most
SWEEP_PEERS: Final = 1_000  # known ones, before those that owe nothing are looked for
REFUSED_WORK_MS: Final = 10.0  # for a refused token, or a WebSocket on which nobody authenticated: slows guessing
PROXY_WORK: Final = 1e9  # ms a second: the connections of a trusted proxy are those of many


class PeerKind(Enum):
    """Strangers have turns of their own beside users."""

    ADDRESS = "address"  # while nobody is authenticated
    USER = "user"


@dataclass(slots=True, eq=False)
class Peer:
    """A user, or an address."""

    kind: PeerKind
    name: str
    work: TokenBucket  # ms of the event loop
    work_accounts: int = 0  # that are open and refer to it
    requests: int = 0  # HTTP requests of a user that are under way
    has_owed: bool = False  # was in debt since its queue was last empty


class Peers:
    """All peers. One without a work account is kept while it owes something: reconnecting clears no debt."""

    def __init__(self, web: WebSettings, clock: Monotonic = perf_counter_ms) -> None:
        self.clock = clock
        self._rates = {PeerKind.ADDRESS: web.max_work_per_address, PeerKind.USER: web.max_work_per_user}
        # uvicorn's own, though private: it decides whose X-Forwarded-For counts, and both must agree on every address.
        self._proxies = _TrustedHosts(list(web.trusted_proxies))
        self._proxy = self._make(PeerKind.ADDRESS, "proxy", PROXY_WORK)
        self._peers: dict[tuple[PeerKind, str], Peer] = {}
        self._sweep_at = SWEEP_PEERS
        self.numbers = count()  # of work accounts, in the order in which they come

    def __len__(self) -> int:
        return len(self._peers)

    def client(self, host: str) -> Peer:
        """Return the peer of an address that connects; all trusted proxies are one."""
        return self._proxy if host in self._proxies else self.address(host)

    def address(self, host: str) -> Peer:
        """Return the peer of an address; of IPv6 the /64 network, within which a host has any number of them."""
        return self._peer(PeerKind.ADDRESS, network_of(host))

    def user(self, user_id: str) -> Peer:
        return self._peer(PeerKind.USER, user_id)

    def release(self, peer: Peer) -> None:
        """Forget a peer that does nothing and owes nothing."""
        if peer.work_accounts == 0 and peer.requests == 0 and peer.work.is_full(self.clock()):
            self._peers.pop((peer.kind, peer.name), None)

    def _peer(self, kind: PeerKind, name: str) -> Peer:
        peer = self._peers.get((kind, name))
        if peer is None:
            if len(self._peers) >= self._sweep_at:
                self._sweep()
            peer = self._peers[kind, name] = self._make(kind, name, self._rates[kind])
        return peer

    def _make(self, kind: PeerKind, name: str, rate: float) -> Peer:
        burst = rate * WORK_BURST_SECONDS
        return Peer(kind, name, TokenBucket(per_second=rate, burst=burst, max_debt=burst, at=self.clock()))

    def _sweep(self) -> None:
        """Forget peers that have paid since; the more peers, the rarer, so that it costs little for each new one."""
        for peer in list(self._peers.values()):
            self.release(peer)
        self._sweep_at = max(SWEEP_PEERS, 2 * len(self._peers))


class WorkAccount:
    """Work of one connection: its user pays for it.

    While nobody is authenticated it is only added up. A user pays for that too; without one, the address does when
    the account is settled. So an address pays only for connections that never authenticate, however many reconnect.
    """

    __slots__ = ("_client", "_peers", "_socket", "_unpaid", "address", "is_closed", "number", "user")

    def __init__(self, peers: Peers, host: str, connection: socket.socket | None = None) -> None:
        self._peers = peers
        self._socket = connection
        self._unpaid = 0.0
        self.is_closed = False
        self.number = next(peers.numbers)  # higher than that of any older connection
        self._client = self.address = peers.client(host)
        self.user: Peer | None = None
        self.address.work_accounts += 1

    @property
    def peer(self) -> Peer:
        """Return the one in whose turns the work is done."""
        return self.user or self.address

    def is_abandoned(self) -> bool:
        """Return whether its work can be dropped: its client has gone, is no user, and is from an address in debt.

        Nothing is read from a connection whose input waits, so that its end is not seen otherwise.
        """
        return self.user is None and self.address.has_owed and self._socket is not None and _is_ended(self._socket)

    def charge(self, ms: float) -> None:
        """Add ms of the event loop."""
        if self.user is None:
            self._unpaid += ms
        else:
            self.user.work.take(ms, self._peers.clock())

    def fine(self, ms: float) -> None:
        """Let the address pay this at once, for something refused."""
        self.address.work.take(ms, self._peers.clock())

    def authenticate(self, user_id: str) -> Peer:
        """Let this user pay from now on, and for what is unpaid."""
        user = self.user = self._peers.user(user_id)
        user.work_accounts += 1
        self.charge(self._unpaid)
        self._unpaid = 0.0
        return user

    def forgive(self) -> None:
        """Let nobody pay for what failed because of the server."""
        self._unpaid = 0.0

    def forward(self, host: str) -> None:
        """Continue for the client of a proxy until this is settled; for the proxy itself if it names no address."""
        self.number = next(self._peers.numbers)  # of the request: the proxy's connection may be old
        if is_address(host):
            self._move(self._peers.address(host))

    def settle(self) -> None:
        """Let the address pay if there is no user; what follows is unauthenticated."""
        if self.user is None:
            self.address.work.take(self._unpaid, self._peers.clock())
        self._unpaid = 0.0
        user, self.user = self.user, None
        self._release(user)
        self._move(self._client)

    def close(self) -> None:
        """Settle at the end of the connection."""
        self.is_closed = True
        self.settle()
        self._release(self.address)

    def _move(self, address: Peer) -> None:
        address.work_accounts += 1
        former, self.address = self.address, address
        self._release(former)

    def _release(self, peer: Peer | None) -> None:
        if peer is not None:
            peer.work_accounts -= 1
            self._peers.release(peer)


def _is_ended(connection: socket.socket) -> bool:
    """Return whether the client has ended a connection, even if what it sent before is unread."""
    if connection.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(connection, getattr(select, "POLLRDHUP", 0))  # of Linux; a reset is reported anyway
    return bool(poll.poll(0))


def host_of(client: tuple[str, int] | None) -> str:
    """Return the host of a transport's client; «?» if it has none."""
    return client[0] if client else "?"


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a server that listens there."""
    return host.lower() == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def network_of(host: str) -> str:
    """Return an address as it is counted; any other text as it is."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    mapped = address.ipv4_mapped
    return str(ipaddress.ip_network((address, 64), strict=False)) if mapped is None else str(mapped)
