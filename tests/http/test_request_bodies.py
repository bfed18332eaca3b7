"""Bodies of HTTP requests: parsed in the turns of their user, who pays. Mostly over real sockets."""

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI, Request

from bridge.adapters.authenticator import TokenAuthenticator
from bridge.domain.access.viewer import Viewer
from bridge.domain.steps import Steps
from bridge.domain.strict_json import parse_json
from bridge.http.access import require_viewer
from bridge.http.error_handlers import add_error_handlers
from bridge.http.load import ServerLoad
from bridge.http.peers import WorkAccount
from bridge.http.request_body import read_body
from bridge.http.requester import Requester
from bridge.ports.clock import wall_ms
from bridge.protocol.token_bucket import TokenBucket
from bridge.settings.web import WebSettings
from tests.http.served_sockets import served
from tests.support.in_process import settings_with
from tests.support.tokens import bearer

AUTHENTICATOR = TokenAuthenticator.from_settings(settings_with())
COSTLY = b'{"a":[' + b",".join([b'{"\\u0061":1}'] * 3_600) + b"]}"
CHEAP = b"{}"
RATE = 100_000  # ms a second: nobody owes


class Meter(TokenBucket):
    """A bucket that adds up what is taken."""

    taken = 0.0

    def take(self, amount: float, at: float) -> float:
        self.taken += amount
        return super().take(amount, at)


def body_app() -> FastAPI:
    app = FastAPI()
    app.state.authenticate = lambda token: AUTHENTICATOR.admit_in_steps(token, now=wall_ms())
    add_error_handlers(app)

    @app.post("/")
    async def answer(viewer: Annotated[Viewer, Depends(require_viewer)], request: Request) -> list[Any]:
        return [viewer.user_id, len(await read_body(request))]

    return app


def metered(load: ServerLoad, user_id: str) -> Meter:
    user = load.peers.user(user_id)
    user.work_accounts += 1  # known, whatever happens
    user.work = meter = Meter(per_second=RATE, burst=RATE, at=load.clock())
    return meter


async def post(port: int, user: str, bodies: Sequence[bytes]) -> list[httpx.Response]:
    async with httpx.AsyncClient(timeout=30, headers=dict(bearer(user=user))) as client:
        return [await client.post(f"http://127.0.0.1:{port}/", content=body) for body in bodies]


def least_ms_to_parse(body: bytes) -> float:
    def parse() -> float:
        began = time.perf_counter()
        parse_json(body)
        return (time.perf_counter() - began) * 1_000

    return min(parse() for _ in range(10))


async def test_a_user_pays_for_the_parsing_of_bodies() -> None:
    load, count = ServerLoad(WebSettings()), 20
    eva, otto = metered(load, "eva"), metered(load, "otto")
    async with served(body_app(), load=load) as port:
        costly = await post(port, "eva", [COSTLY] * count)
        cheap = await post(port, "otto", [CHEAP] * count)
    assert [answer.json() for answer in costly + cheap] == [["eva", 1]] * count + [["otto", 0]] * count
    assert eva.taken - otto.taken > 0.5 * count * least_ms_to_parse(COSTLY)


async def test_a_body_that_is_refused_is_paid_too() -> None:
    load, count = ServerLoad(WebSettings()), 10
    eva, otto = metered(load, "eva"), metered(load, "otto")
    refused = COSTLY[:-1] + b',"a":1}'
    async with served(body_app(), load=load) as port:
        costly = await post(port, "eva", [refused] * count)
        await post(port, "otto", [CHEAP] * count)
    assert {(answer.status_code, answer.json()["message"]) for answer in costly} == {
        (400, "not acceptable JSON: duplicate_key")
    }
    assert eva.taken - otto.taken > 0.5 * count * least_ms_to_parse(COSTLY)


async def test_a_body_that_is_no_json_is_called_that() -> None:
    async with served(body_app(), load=ServerLoad(WebSettings())) as port:
        answers = await post(port, "eva", [b"state=running", b""])
    assert [(answer.status_code, answer.json()["message"]) for answer in answers] == [
        (400, "not valid JSON"),
        (400, "not acceptable JSON: empty"),
    ]


async def test_between_two_polls_of_the_sockets_a_user_has_one_long_step_whatever_the_number_of_requests() -> None:
    now = 0.0
    load = ServerLoad(WebSettings(), lambda: now)
    done = 0

    def step() -> Steps[None]:
        nonlocal now, done
        yield from ()
        now += load.web.turn_ms
        done += 1

    async def run() -> None:
        account = WorkAccount(load.peers, "10.0.0.1")
        requester = Requester(load, account)
        await requester.authenticate("eva")
        await requester.run(step())
        requester.end()
        account.close()

    requests = [asyncio.create_task(run()) for _ in range(8)]
    most = former = 0
    while not all(task.done() for task in requests):
        await asyncio.sleep(0)
        most, former = max(most, done - former), done
    assert (done, most) == (8, 1)
