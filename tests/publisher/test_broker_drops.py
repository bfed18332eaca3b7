"""The number of messages that a broker dropped, over its restarts."""

import pytest

from bridge.publisher.broker_drops import BrokerDrops


@pytest.mark.parametrize(
    ("reported", "total"),
    [
        ((b"0", b"3", b"3", b"10"), 10),
        ((b"10", b"0"), 10),
        ((b"10", b"4", b"5"), 15),
        ((b"7", b"x", b"", b"-8", b"7"), 7),
    ],
)
def test_the_sum_of_drops_never_falls(reported: tuple[bytes, ...], total: int) -> None:
    drops = BrokerDrops()
    totals = [0]
    for payload in reported:
        more = drops.update(payload)
        assert drops.total == totals[-1] + more
        assert more >= 0
        totals.append(drops.total)
    assert totals[-1] == total
