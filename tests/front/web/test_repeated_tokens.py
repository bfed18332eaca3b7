"""Tokens that a dashboard sends again and again: its user pays for their admission. Over real sockets."""

from pathlib import Path

import pytest

from bridge.domain.access.viewer import Viewer
from bridge.domain.steps import Steps
from bridge.domain.utc_time import Millis
from bridge.http.load import ServerLoad
from bridge.settings.web import WebSettings
from tests.support.front_server import served_front
from tests.support.socket_dashboard import dashboard
from tests.support.stopped_clock import StoppedClock
from tests.support.tokens import token

COUNT = 50
STEP_MS = 2.5


@pytest.mark.parametrize(("proof", "answer"), [(token(), "auth_ok"), ("x.y.z", "error")], ids=["valid", "refused"])
async def test_a_user_pays_for_each_token_that_is_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proof: str, answer: str
) -> None:
    clock = StoppedClock()
    load = ServerLoad(WebSettings(), clock)
    async with served_front(tmp_path, load=load) as served, dashboard(served.port) as board:
        admit = served.authenticator.admit_in_steps

        def admit_slowly(text: str, *, now: Millis) -> Steps[Viewer]:
            for _ in range(2):
                clock.now += STEP_MS
                yield
            return (yield from admit(text, now=now))

        monkeypatch.setattr(served.authenticator, "admit_in_steps", admit_slowly)
        for _ in range(COUNT):
            await board.ask("auth", answer, token=proof)
        user, address = load.peers.user("eva").work, load.peers.address("127.0.0.1").work
        cost = 2 * STEP_MS * COUNT
        regained = cost * load.web.max_work_per_user / 1_000
        assert user.take(user.burst - cost + regained - 1, clock.now) == 0
        assert user.take(2, clock.now) > 0
        assert address.is_full(clock.now)
        clock.now += 60_000  # the debt is paid: its close frame is read
