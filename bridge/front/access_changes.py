"""Changes of revocations and of the policy, applied to a connected dashboard."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import TypeVar

from bridge.domain.access.viewer import AdmissionError
from bridge.domain.steps import Steps
from bridge.front.connection import DashboardConnection
from bridge.ports.authenticator import Authenticator
from bridge.ports.clock import Monotonic, perf_counter_ms
from bridge.protocol.close_codes import CloseCode
from bridge.protocol.server_frames import Close

T = TypeVar("T")

Decide = Callable[[Authenticator, DashboardConnection], Steps[bool]]
"""Applies the policy or the revocations to a dashboard, and returns whether that is a change."""


def end_if_revoked(authenticator: Authenticator, connection: DashboardConnection) -> Steps[bool]:
    """End a connection whose token has been revoked, and return whether it is."""
    yield from ()
    viewer = connection.viewer
    if connection.ended or viewer is None or not authenticator.is_revoked(viewer):
        return False
    connection.end(Close(CloseCode.REVOKED, "access revoked"))
    return True


def redecide(authenticator: Authenticator, connection: DashboardConnection) -> Steps[bool]:
    """Apply what the present policy grants, and return whether that is a change."""
    steps = _decide_again(authenticator, connection)
    while not connection.ended:
        try:
            next(steps)
        except StopIteration as end:
            return bool(end.value)
        yield
    return False


def decide_all(decide: Decide, authenticator: Authenticator, connections: Iterable[DashboardConnection]) -> Steps[int]:
    """Decide about these dashboards, and return for how many that is a change.

    Users take turns, step by step: none waits for another with a hundred subscriptions on each of fifty sockets.
    """
    of_users = defaultdict[str | None, list[DashboardConnection]](list)
    for connection in connections:
        of_users[None if connection.viewer is None else connection.viewer.user_id].append(connection)
    under_way = deque(_decide_about_a_user(decide, authenticator, user) for user in of_users.values())
    count = 0
    while under_way:
        steps = under_way.popleft()
        try:
            next(steps)
        except StopIteration as end:
            count += end.value
        else:
            under_way.append(steps)
        yield
    return count


def _decide_about_a_user(
    decide: Decide, authenticator: Authenticator, connections: Iterable[DashboardConnection]
) -> Steps[int]:
    count = 0
    for connection in connections:
        try:
            count += yield from decide(authenticator, connection)
        except Exception as error:  # noqa: BLE001 - one dashboard's fault is not that of all others
            connection.fail(error)
        yield
    return count


async def run_in_turns(steps: Steps[T], *, turn_ms: float, clock: Monotonic = perf_counter_ms) -> T:
    """Do these steps, and let the event loop do other work whenever `turn_ms` are over; return the result.

    No user pays: a user in debt would keep lost grants longer.
    """
    began = clock()
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        if clock() - began >= turn_ms:
            await asyncio.sleep(0)
            began = clock()


def _decide_again(authenticator: Authenticator, connection: DashboardConnection) -> Steps[bool]:
    session = connection.protocol.session
    if session is None:
        return False
    while True:
        former = session.viewer
        try:
            latter = yield from authenticator.readmit(former)
        except AdmissionError:
            connection.end(Close(CloseCode.POLICY_VIOLATION, "token invalid"))
            return True
        if former is session.viewer:  # no new token meanwhile
            break
    rights = [(viewer.roles, viewer.read_grants, viewer.command_grants) for viewer in (former, latter)]
    if rights[0] == rights[1]:
        return False
    yield from session.update_viewer(latter)
    connection.pump()
    return True
