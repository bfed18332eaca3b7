"""Promises P2, P3 and P4 in every order of a few requests, events and all that they lead to."""

from typing import Final

import pytest

from tests.protocol.delivery.search import Scope, Search

EVENTS: Final = ("commit call", "commit state", "commit state", "commit end of call")

SMALL: Final = {
    "snapshot beside commits": (Scope(("subscribe a",), ordered=EVENTS), 1_200),
    "two subscriptions": (Scope(("subscribe a", "subscribe b without snapshot"), ordered=EVENTS[:2]), 600),
    "widen and revoke": (Scope(("subscribe b", "grant line 2", "grant all"), ordered=EVENTS[:1]), 700),
    "resume in place": (
        Scope(
            ("resume a", "resume b from the start"),
            before=("subscribe a without snapshot", "subscribe b"),
            ordered=EVENTS[:1],
        ),
        600,
    ),
    "stalled": (
        Scope(("subscribe a", "stall", "flow"), before=("subscribe b without snapshot",), ordered=EVENTS[:2]),
        1_200,
    ),
    "cohort with a peer": (
        Scope(
            ("subscribe b without snapshot", "batch", "no batch"), peer=True, ordered=("commit state", "commit my job")
        ),
        250,
    ),
    "reconnect": (
        Scope(("stall", "reconnect", "tick"), before=("subscribe b without snapshot",), ordered=EVENTS[:2]),
        1_200,
    ),
}
"""Scope, and how many states it has at least."""


@pytest.mark.parametrize("name", SMALL)
def test_every_order_within_a_small_scope_keeps_the_promises(name: str) -> None:
    scope, states = SMALL[name]
    search = Search(scope).run()
    assert len(search.states) >= states
    assert search.ends > 0


DEEP: Final = (
    Scope(
        ("subscribe a", "subscribe b without snapshot", "grant line 2", "grant all", "stall", "flow"), ordered=EVENTS
    ),
    Scope(
        ("resume a", "resume b from the start", "grant line 1", "grant all", "subscribe a"),
        before=("subscribe a without snapshot", "subscribe b"),
        ordered=EVENTS,
    ),
)
DEEP_STATES: Final = 40_000


@pytest.mark.proof
@pytest.mark.parametrize("scope", DEEP)
def test_the_nearest_states_of_a_larger_scope_keep_them_too(scope: Scope) -> None:
    search = Search(scope, most=DEEP_STATES).run()
    print(f"\n{len(search.states)} states, {search.transitions} transitions")  # noqa: T201 - a proof says what it proved
    assert len(search.states) >= DEEP_STATES
