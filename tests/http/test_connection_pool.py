"""Pool of connections without a user: bounded, and who holds most of them loses one."""

from collections.abc import Sequence
from random import Random

from bridge.http.connection_pool import ConnectionPool
from bridge.http.peers import Peer, Peers
from bridge.settings.web import WebSettings


class FakeConnection:
    """A transport that is only aborted."""

    def __init__(self) -> None:
        self.is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True


def addresses(count: int) -> Sequence[Peer]:
    peers = Peers(WebSettings())
    return [peers.address(f"10.0.0.{number}") for number in range(count)]


def add(pool: ConnectionPool, address: Peer, count: int = 1) -> list[FakeConnection]:
    connections = [FakeConnection() for _ in range(count)]
    for connection in connections:
        pool.add(connection, address)
    return connections


def test_an_address_that_fills_it_loses_its_oldest_and_no_other_does() -> None:
    few, many, newcomer = addresses(3)
    evicted: list[Peer] = []
    pool = ConnectionPool(10, evicted.append)
    first = add(pool, few, 2)
    flood = add(pool, many, 30)
    last = add(pool, newcomer)
    assert [connection.is_aborted for connection in first + last] == [False] * 3
    assert [connection.is_aborted for connection in flood] == [True] * 23 + [False] * 7
    assert evicted == [many] * 23
    assert len(pool) == 10


def test_what_is_added_again_is_the_newest() -> None:
    (address,) = addresses(1)
    pool = ConnectionPool(2, lambda _: None)
    first, second = add(pool, address, 2)
    pool.add(first, address)
    add(pool, address)
    assert (first.is_aborted, second.is_aborted) == (False, True)


def test_what_has_left_counts_no_more() -> None:
    (address,) = addresses(1)
    pool = ConnectionPool(2, lambda _: None)
    first, second = add(pool, address, 2)
    pool.remove(first)
    pool.remove(first)
    add(pool, address)
    assert (first.is_aborted, second.is_aborted) == (False, False)
    assert len(pool) == 2


def test_it_does_what_a_search_of_all_would_do() -> None:
    chance = Random(7)
    peers = addresses(6)
    pool = ConnectionPool(12, lambda _: None)
    held: dict[Peer, list[FakeConnection]] = {peer: [] for peer in peers}
    for _ in range(3_000):
        peer = chance.choices(peers, weights=[1, 1, 2, 4, 8, 16])[0]
        if held[peer] and chance.random() < 0.4:
            pool.remove(held[peer].pop(chance.randrange(len(held[peer]))))
            continue
        held[peer] += add(pool, peer)
        if sum(map(len, held.values())) > 12:
            aborted = [(owner, one) for owner in peers for one in held[owner] if one.is_aborted]
            ((owner, victim),) = aborted
            assert len(held[owner]) == max(map(len, held.values()))
            assert victim is held[owner][0]
            held[owner].pop(0)
        assert len(pool) == sum(map(len, held.values()))
