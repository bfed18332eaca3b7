"""Peers and work accounts: who pays for a connection's work, and what is remembered of those who are gone."""

import pytest

from bridge.http.peers import SWEEP_PEERS, WORK_BURST_SECONDS, PeerKind, Peers, WorkAccount, network_of
from bridge.settings.web import WebSettings
from tests.support.stopped_clock import StoppedClock

WEB = WebSettings(max_work_per_address=100, max_work_per_user=200)
BURST = {PeerKind.ADDRESS: 100.0 * WORK_BURST_SECONDS, PeerKind.USER: 200.0 * WORK_BURST_SECONDS}


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def peers(clock: StoppedClock) -> Peers:
    return Peers(WEB, clock)


def is_untouched(peers: Peers, host: str, clock: StoppedClock) -> bool:
    return peers.address(host).work.is_full(clock.now)


def test_an_address_pays_only_for_what_comes_to_nothing(peers: Peers, clock: StoppedClock) -> None:
    known, unknown = WorkAccount(peers, "10.0.0.1"), WorkAccount(peers, "10.0.0.2")
    for account in (known, unknown):
        account.charge(30)
    user = known.authenticate("eva")
    known.charge(20)
    assert user.work.take(BURST[PeerKind.USER] - 50, clock.now) == 0
    assert user.work.take(1, clock.now) == 1, "50 ms were charged"
    known.close()
    unknown.close()
    assert is_untouched(peers, "10.0.0.1", clock)
    assert not is_untouched(peers, "10.0.0.2", clock)


def test_a_settled_account_begins_again_without_a_user(peers: Peers, clock: StoppedClock) -> None:
    account = WorkAccount(peers, "10.0.0.1")
    account.authenticate("eva")
    account.settle()
    assert account.peer.kind is PeerKind.ADDRESS
    account.charge(30)
    account.settle()
    assert not is_untouched(peers, "10.0.0.1", clock)
    account.close()


def test_who_comes_back_has_paid_nothing_until_time_has(peers: Peers, clock: StoppedClock) -> None:
    account = WorkAccount(peers, "10.0.0.1")
    account.charge(10**6)
    account.close()
    back = WorkAccount(peers, "10.0.0.1")
    assert back.peer.work.wait_ms(clock.now) == WORK_BURST_SECONDS * 1_000, "a debt is bounded as a burst is"
    back.close()
    clock.now += 2 * WORK_BURST_SECONDS * 1_000
    peers.release(back.address)
    assert len(peers) == 0


def test_who_owes_nothing_is_forgotten_at_the_end(peers: Peers) -> None:
    accounts = [WorkAccount(peers, "10.0.0.1") for _ in range(2)]
    for account in accounts:
        account.authenticate("eva")
    assert len(peers) == 2
    for account in accounts:
        account.close()
    assert len(peers) == 0


def test_debtors_are_forgotten_when_they_have_paid(peers: Peers, clock: StoppedClock) -> None:
    for number in range(SWEEP_PEERS):
        account = WorkAccount(peers, f"10.0.{number // 256}.{number % 256}")
        account.charge(1)
        account.close()
    assert len(peers) == SWEEP_PEERS
    clock.now += 10_000
    held = WorkAccount(peers, "10.9.9.9")
    assert len(peers) == 1
    held.close()


def test_trusted_proxies_are_one_peer_without_a_bound_and_their_clients_pay(clock: StoppedClock) -> None:
    peers = Peers(WEB.model_copy(update={"trusted_proxies": ("10.1.0.0/16",)}), clock)
    account, other = WorkAccount(peers, "10.1.2.3"), WorkAccount(peers, "10.1.2.4")
    assert account.peer is other.peer
    account.charge(10**6)
    account.settle()
    assert account.peer.work.wait_ms(clock.now) == 0
    account.forward("192.0.2.1")
    account.charge(10**6)
    account.settle()
    assert peers.address("192.0.2.1").work.wait_ms(clock.now) > 0
    assert account.peer is other.peer, "the next request is anybody's"


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        ("?", "?"),
    ],
)
def test_an_ipv6_host_has_one_network(host: str, network: str) -> None:
    assert network_of(host) == network


def test_a_request_that_a_proxy_forwards_is_as_new_as_a_connection() -> None:
    peers = Peers(WebSettings(trusted_proxies=("10.0.0.9",)))
    kept, later = WorkAccount(peers, "10.0.0.9"), WorkAccount(peers, "10.0.0.1")
    assert kept.number < later.number
    kept.forward("10.0.0.1")
    assert (kept.address, kept.number > later.number) == (later.address, True)
