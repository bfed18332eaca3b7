"""Promises P2, P3 and P4 in every order of a few requests, events and all that they lead to."""

import sys
import time
from typing import Final

import pytest

from tests.protocol.delivery.search import Scope, Search

EVENTS: Final = ("commit call", "commit state", "commit state", "commit end of call")
BOTH: Final = ("subscribe a without snapshot", "subscribe b without snapshot", "tick")
REVOKE_AND_WIDEN: Final = ("grant line 2", "grant all")
STALL: Final = ("stall", "flow")


def combined(events: int) -> Scope:
    """Two subscriptions and so many events, beside revoking, widening with its snapshots, a resume and a stall."""
    return Scope((EVENTS[:events], REVOKE_AND_WIDEN, ("resume both",), ("stall",)), before=BOTH)


SCOPES: Final = {
    "all at once": (combined(1), 2_000),
    "snapshot beside commits": (Scope((EVENTS, ("subscribe a",))), 900),
    "two subscriptions": (Scope((EVENTS[:2], ("subscribe a",), ("subscribe b without snapshot",))), 500),
    "widen and revoke": (Scope((EVENTS[:1], ("subscribe b",), REVOKE_AND_WIDEN)), 280),
    "widen and revoke by the policy": (Scope((EVENTS[:1], ("subscribe b",), ("policy line 2", "policy all"))), 280),
    "resume in place": (
        Scope(
            (EVENTS[:1], ("resume a",), ("resume b from the start",)),
            before=("subscribe a without snapshot", "subscribe b"),
        ),
        400,
    ),
    "resume what is not in memory": (
        Scope((EVENTS[:3], ("resume b from the start",), STALL), before=("subscribe b without snapshot",), cold=True),
        1_600,
    ),
    "cohort with a peer": (
        Scope(
            (
                ("commit state", "commit my job", "commit state on 2"),
                ("0 subscribe b without snapshot",), ("0 batch",), ("0 no batch",),
            ),
            before=("1 subscribe b without snapshot",),
            short_lived=(False, False),
        ),
        800,
    ),
    "one who waits to join a cohort": (
        Scope(
            (
                ("commit state", "commit pieces", "commit call"),
                ("0 subscribe b without snapshot",),
                ("1 end b",),
            ),
            before=("1 subscribe b without snapshot",),
            short_lived=(False, False),
        ),
        500,
    ),
    "new grants and subscriptions beside a page that is read": (
        Scope(
            (("commit call on 2",), ("grant all",), ("subscribe a",)),
            before=("grant line 1", "subscribe b without snapshot", "stall", *("commit call", "deliver") * 3),
            page_events=256,
        ),
        2_500,
    ),
    "one of two fails or expires": (
        Scope(
            (("commit state", "commit call", "commit pieces"), ("0 break",), ("1 expire",), ("1 stall",)),
            before=("0 subscribe b without snapshot", "1 subscribe b without snapshot"),
            short_lived=(False, True),
        ),
        750,
    ),
    "expiry beside a snapshot": (
        Scope((EVENTS[:2], ("subscribe a",), ("expire",), ("stall",)), short_lived=(True,)), 1_100
    ),
    "reconnect": (
        Scope((EVENTS[:2], ("stall",), ("reconnect",), ("tick",)), before=("subscribe b without snapshot",)), 520
    ),
}  # fmt: skip
"""Scope, and how many states it has at least."""

SHARE: Final = 1.0 if sys.version_info < (3, 13) else 0.9  # of them: on Python 3.13 up to 8 % fewer count apart


@pytest.mark.parametrize("name", SCOPES)
def test_every_order_within_a_small_scope_keeps_the_promises(name: str) -> None:
    scope, states = SCOPES[name]
    search = Search(scope).run()
    assert len(search.states) >= SHARE * states
    assert search.ends > 0


@pytest.mark.proof
def test_every_order_of_four_events_beside_all_else_keeps_them() -> None:
    began = time.process_time()
    search = Search(combined(len(EVENTS))).run()
    seconds = time.process_time() - began
    print(f"\n{len(search.states)} states, {search.transitions} transitions in {seconds:.0f} s of a core")  # noqa: T201 - a proof says what it proved
    assert len(search.states) >= 200_000
    assert search.ends > 0
