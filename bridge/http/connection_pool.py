"""Pool of the connections that belong to nobody: bounded, so that strangers cannot use up descriptors and memory."""

from collections.abc import Callable
from typing import Protocol

from bridge.http.peers import Peer


class Connection(Protocol):
    """A connection, whatever it has become: its transport."""

    def abort(self) -> None: ...


class ConnectionPool:
    """Holds connections by address. When it is full, the oldest of the address with most of them is aborted.

    Who holds many thus loses one to the newcomer, and an address with one connection is last to lose it.
    """

    def __init__(self, limit: int, on_eviction: Callable[[Peer], None]) -> None:
        self.limit = limit
        self._on_eviction = on_eviction
        self._owners: dict[Connection, Peer] = {}
        self._by_address: dict[Peer, dict[Connection, None]] = {}  # oldest first
        self._by_count: dict[int, dict[Peer, None]] = {}  # finds the largest without looking at all
        self._largest = 0

    def __len__(self) -> int:
        return len(self._owners)

    def add(self, connection: Connection, address: Peer) -> None:
        """Hold this connection, as the newest of its address."""
        self.remove(connection)
        self._owners[connection] = address
        self._change(address, connection, is_added=True)
        if len(self._owners) > self.limit:
            owner = next(iter(self._by_count[self._largest]))
            victim = next(iter(self._by_address[owner]))
            self.remove(victim)
            victim.abort()
            self._on_eviction(owner)

    def remove(self, connection: Connection) -> None:
        """Forget a connection: it is a user's, or it has ended. Without effect if it is not here."""
        address = self._owners.pop(connection, None)
        if address is not None:
            self._change(address, connection, is_added=False)

    def _change(self, address: Peer, connection: Connection, *, is_added: bool) -> None:
        connections = self._by_address.setdefault(address, {})
        former = self._by_count.get(len(connections), {})
        former.pop(address, None)
        if not former:
            self._by_count.pop(len(connections), None)
        if is_added:
            connections[connection] = None
        else:
            del connections[connection]
        if connections:
            self._by_count.setdefault(len(connections), {})[address] = None
        else:
            del self._by_address[address]
        self._largest = max(self._largest, len(connections))
        if self._largest not in self._by_count:  # it was the only one with so many: now it has one less
            self._largest = len(connections)
