"""Who pays for an HTTP request, and how many a user makes at once. Over real sockets."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI

from bridge.adapters.authenticator import TokenAuthenticator
from bridge.domain.access.viewer import Viewer
from bridge.domain.steps import Steps
from bridge.http.access import Authenticate, require_viewer
from bridge.http.error_handlers import add_error_handlers
from bridge.http.load import ServerLoad
from bridge.http.peers import REFUSED_WORK_MS, WORK_BURST_SECONDS, PeerKind, WorkAccount
from bridge.http.requester import Requester
from bridge.ports.clock import wall_ms
from bridge.settings.web import WebSettings
from tests.http.served_sockets import served
from tests.support.brokers import until
from tests.support.in_process import settings_with
from tests.support.raw_http import exchange
from tests.support.stopped_clock import StoppedClock, TickingClock
from tests.support.tokens import bearer

AUTHENTICATOR = TokenAuthenticator.from_settings(settings_with())


@dataclass
class SlowApp:
    """An app whose only route waits."""

    authenticate: Authenticate = lambda token: AUTHENTICATOR.admit_in_steps(token, now=wall_ms())
    running: int = 0
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    def app(self) -> FastAPI:
        app = FastAPI()
        app.state.authenticate = self.authenticate
        add_error_handlers(app)

        @app.get("/")
        async def answer(viewer: Annotated[Viewer, Depends(require_viewer)]) -> str:
            self.running += 1
            await self.may_answer.wait()
            self.running -= 1
            return viewer.user_id

        return app


async def get(port: int, headers: Mapping[str, str]) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30) as client:
        return await client.get(f"http://127.0.0.1:{port}/", headers=dict(headers))


async def test_a_user_makes_a_bounded_number_of_requests_at_once() -> None:
    load = ServerLoad(WebSettings(max_requests_per_user=2))
    slow = SlowApp()
    async with served(slow.app(), load=load) as port:
        running = [asyncio.create_task(get(port, bearer())) for _ in range(2)]
        await until(lambda: slow.running == 2, what="two run")
        refused = await get(port, bearer())
        assert (refused.status_code, refused.json()["code"]) == (429, "RATE_LIMITED")
        assert refused.headers["retry-after"] == "1"
        other = asyncio.create_task(get(port, bearer(user="otto")))
        await until(lambda: slow.running == 3, what="another user's runs too")
        slow.may_answer.set()
        assert [(await task).json() for task in (*running, other)] == ["eva", "eva", "otto"]
        assert (await get(port, bearer())).json() == "eva"
    assert load.refused_requests == 1


async def test_a_request_counts_until_its_work_is_done_though_its_client_is_gone() -> None:
    load = ServerLoad(WebSettings(max_requests_per_user=1))
    slow = SlowApp()
    async with served(slow.app(), load=load) as port:
        gone = asyncio.create_task(get(port, bearer()))
        await until(lambda: slow.running == 1, what="it runs")
        gone.cancel()
        await asyncio.wait([gone])
        assert (await get(port, bearer())).status_code == 429
        slow.may_answer.set()
        await until(lambda: slow.running == 0, what="it is done")
        assert (await get(port, bearer())).status_code == 200


async def test_a_user_who_owes_waits() -> None:
    clock = StoppedClock()
    load = ServerLoad(WebSettings(), clock)
    slow = SlowApp()
    slow.may_answer.set()
    load.peers.user("eva").work.take(10**6, clock.now)
    async with served(slow.app(), load=load) as port:
        waiting = asyncio.create_task(get(port, bearer()))
        assert (await get(port, bearer(user="otto"))).json() == "otto"
        await until(lambda: load.turns.delays[PeerKind.USER] > 0, what="she waits")
        assert not waiting.done()
        clock.now += 2 * WORK_BURST_SECONDS * 1_000
        assert (await waiting).json() == "eva"


async def test_the_user_pays_for_a_request_and_not_the_address() -> None:
    clock = StoppedClock()
    load = ServerLoad(WebSettings(), clock)
    slow = SlowApp()
    slow.may_answer.set()
    async with served(slow.app(), load=load) as port:
        assert (await get(port, bearer())).json() == "eva"
        await until(lambda: not load.peers.user("eva").work.is_full(clock.now), what="she has paid")
        assert load.peers.address("127.0.0.1").work.is_full(clock.now)


async def test_the_user_pays_for_each_step_of_a_request_and_others_come_in_between() -> None:
    clock = StoppedClock()
    load = ServerLoad(WebSettings(), clock)
    done: list[str] = []

    def steps(user: str, count: int) -> Steps[int]:
        for _ in range(count):
            clock.now += load.web.turn_ms
            done.append(user)
            yield
        return len(done)

    async def run(user: str, count: int) -> int:
        account = WorkAccount(load.peers, "10.0.0.1")
        requester = Requester(load, account)
        await requester.authenticate(user)
        try:
            return await requester.run(steps(user, count))
        finally:
            requester.end()
            account.close()

    results = await asyncio.gather(run("eva", 20), run("otto", 1))
    assert results[0] == 21
    assert done.index("otto") <= 5  # he is authenticated, then does a step: each waits for two of hers at most
    eva = load.peers.user("eva").work
    assert eva.take(eva.burst - 30 * load.web.turn_ms, clock.now) == 0, "of 40 ms, some have been paid"
    assert eva.take(30 * load.web.turn_ms, clock.now) > 0


@pytest.mark.parametrize("accepted", [True, False])
async def test_the_user_pays_for_the_admission_of_a_token_and_the_address_for_one_that_is_refused(
    *, accepted: bool
) -> None:
    clock, step_ms, count = StoppedClock(), 2.0, 40
    load = ServerLoad(WebSettings(), clock)

    def admit(token: str) -> Steps[Viewer]:
        for _ in range(count):
            clock.now += step_ms
            yield
        return (yield from AUTHENTICATOR.admit_in_steps(token, now=wall_ms()))

    slow = SlowApp(admit)
    slow.may_answer.set()
    user, address = load.peers.user("eva"), load.peers.address("127.0.0.1")
    user.work_accounts += 1  # both are known, whatever happens
    address.work_accounts += 1
    async with served(slow.app(), load=load) as port:
        answer = await get(port, bearer() if accepted else {"Authorization": "Bearer x.y.z"})
        assert answer.status_code == (200 if accepted else 401)
        payer, other, extra = (user, address, 0.0) if accepted else (address, user, REFUSED_WORK_MS)
        await until(lambda: not payer.work.is_full(clock.now), what="it is paid")
        assert other.work.is_full(clock.now)
        assert payer.work.take(payer.work.burst - count * step_ms - extra, clock.now) > 0


async def test_others_are_served_between_the_steps_of_an_admission() -> None:
    served_users: list[str] = []
    steps: list[str] = []

    def admit(token: str) -> Steps[Viewer]:
        viewer = yield from AUTHENTICATOR.admit_in_steps(token, now=wall_ms())
        while viewer.user_id == "eva" and not served_users and len(steps) < 10**6:
            steps.append(viewer.user_id)
            yield
        return viewer

    slow = SlowApp(admit)
    slow.may_answer.set()
    async with served(slow.app(), load=ServerLoad(WebSettings(max_work_per_address=10**6))) as port:

        async def ask(user: str) -> None:
            served_users.append((await get(port, bearer(user=user))).json())

        waiting = asyncio.create_task(ask("eva"))
        await until(lambda: bool(steps), what="it has begun")
        await ask("otto")
        await waiting
    assert served_users == ["otto", "eva"]


async def test_nobody_pays_for_a_token_that_cannot_be_decided_about() -> None:
    authenticator = TokenAuthenticator.from_settings(settings_with())
    authenticator.revocations = None
    load = ServerLoad(WebSettings(), StoppedClock())
    slow = SlowApp(lambda token: authenticator.admit_in_steps(token, now=wall_ms()))
    address = load.peers.address("127.0.0.1")
    address.work_accounts += 1  # known, whatever happens
    async with served(slow.app(), load=load) as port:
        assert (await get(port, bearer())).status_code == 503
        assert address.work.is_full(load.clock())
        assert (await get(port, {"Authorization": "Bearer x.y.z"})).status_code == 401
        await until(lambda: not address.work.is_full(load.clock()), what="it pays for one that is refused")


@pytest.mark.parametrize("proxied", [False, True])
async def test_the_address_of_the_client_pays_for_a_refused_token(*, proxied: bool) -> None:
    clock = StoppedClock()
    load = ServerLoad(WebSettings(trusted_proxies=("127.0.0.1",) if proxied else ()), clock)
    address = load.peers.address("192.0.2.1" if proxied else "127.0.0.1")
    address.work_accounts += 1  # known, whatever happens
    slow = SlowApp()
    slow.may_answer.set()
    headers = {"Authorization": "Bearer x.y.z", "X-Forwarded-For": "192.0.2.1"}
    async with served(slow.app(), load=load) as port:
        assert (await get(port, headers)).status_code == 401
        await until(lambda: not address.work.is_full(clock.now), what="it has paid")
        left = load.web.max_work_per_address * WORK_BURST_SECONDS - REFUSED_WORK_MS
        assert address.work.take(left, clock.now) > 0
        blocked = asyncio.create_task(get(port, headers))
        await until(lambda: sum(load.turns.delays.values()) > 0, what="it waits")
        clock.now += 10_000
        assert (await blocked).status_code == 401


async def test_tokens_that_are_guessed_at_once_are_paid_for_one_by_one() -> None:
    clock = TickingClock()
    load = ServerLoad(WebSettings(), clock)
    slow = SlowApp()
    slow.may_answer.set()
    guess = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer x.y.z\r\n\r\n"
    at_once = int(load.web.max_work_per_address * WORK_BURST_SECONDS / REFUSED_WORK_MS)
    async with served(slow.app(), load=load) as port:
        guesses = [asyncio.create_task(exchange(port, guess)) for _ in range(3 * at_once)]
        await until(lambda: sum(load.turns.delays.values()) > 0, what="the rest waits")
        await until(lambda: sum(guess.done() for guess in guesses) >= at_once, what="the burst is answered")
        assert sum(guess.done() for guess in guesses) < 1.5 * at_once
        while not all(guess.done() for guess in guesses):
            clock.now += 1_000
            await asyncio.wait(guesses, timeout=0.05)
    assert {guess.result().status for guess in guesses} == {401}
