"""The OpenAPI document is true: random requests by it get an answer that it lists, and nobody's secrets."""

import asyncio
import contextlib
import inspect
import json
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any, Final

import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.front.web.app import make_front_app
from bridge.settings.web import WebSettings
from tests.support.command_line import ROOT
from tests.support.front_server import ServedFront, call, served_front, status
from tests.support.http_requests import HttpRequest, random_request
from tests.support.raw_http import Answer, exchange
from tests.support.tokens import token

SECRET: Final = "zq7x"  # in all that only L2 has
UNDOCUMENTED: Final = {"/openapi.json": "the document itself"}
INTERNAL: Final = (b"Traceback", b'File "', b"bridge.", b"site-packages", b"Error(")


class Bench:
    """A served front, on an event loop that runs while a request is made."""

    def __init__(self, runner: asyncio.Runner, served: ServedFront) -> None:
        self._runner = runner
        self.served = served
        self.document: dict[str, Any] = self.ask(HttpRequest("GET", "/openapi.json")).data
        self.tokens = {
            "narrow": token(user="olga", roles=("operator",), lines=["L1"]),
            "admin": token(),
            "nothing": token(roles=()),
            "expired": token(ttl=-60),
            "other audience": token(aud="other"),
            "no token": "a.b.c",
            "nobody": None,
        }

    def ask(self, request: HttpRequest) -> Answer:
        return self._runner.run(exchange(self.served.port, request.encode()))

    def ask_as(self, name: str, method: str, path: str, body: object = None) -> Answer:
        headers = (("Authorization", f"Bearer {self.tokens[name]}"),)
        return self.ask(HttpRequest(method, path, headers, b"" if body is None else json.dumps(body).encode()))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        served = runner.run(
            stack.enter_async_context(
                served_front(tmp_path_factory.mktemp("front"), WebSettings(max_commands_per_second=1_000))
            )
        )
        served.commit(
            call(), status(), status("L2", product=f"P-{SECRET}"),
            call(f"L2.call.{SECRET}", line="L2", description=f"about {SECRET}"),
        )  # fmt: skip
        yield Bench(runner, served)
        runner.run(stack.aclose())


def check(bench: Bench, request: HttpRequest, answer: Answer) -> None:
    operations = bench.document["paths"]
    path, method = request.operation or ("", "")
    documented = operations.get(path, {}).get(method)
    if documented is not None:
        assert str(answer.status) in documented["responses"], answer
    elif request.operation is None:
        assert answer.status in (200, 307, 400, 401, 404, 421), answer  # 200: it may be another operation, or a file
    else:
        assert answer.status in (400, 405, 421), answer
    if answer.status >= 400 and answer.headers["content-type"] == "application/json" and request.method != "HEAD":
        if not request.path.startswith("/health"):
            assert answer.data["type"] == "error"
            assert answer.data["code"].isupper()
            assert answer.data["message"]
        assert not [word for word in INTERNAL if word in answer.body]
    bearer = dict(request.headers).get("Authorization", "").removeprefix("Bearer ")
    if bearer != bench.tokens["admin"]:
        assert SECRET.encode() not in answer.body


@settings(max_examples=400)
@given(st.randoms(use_true_random=False))
def test_every_request_gets_an_answer_that_the_document_lists(bench: Bench, chance: Random) -> None:
    request = random_request(bench.document, list(bench.tokens.values()), chance)
    check(bench, request, bench.ask(request))


def test_every_path_is_in_the_document(bench: Bench) -> None:
    served = make_front_app(bench.served.front, WebSettings(), root="floor/v1")
    app = inspect.getclosurevars(served).nonlocals["app"]
    assert isinstance(app, FastAPI)
    pages = {"/", *(f"/{file.name}" for file in (ROOT / "bridge" / "board").iterdir())}
    assert routed(app.routes) - pages == bench.document["paths"].keys() | UNDOCUMENTED.keys()


def routed(routes: Iterable[object]) -> set[str]:
    """Return the paths of all routes, of included routers too."""
    paths: set[str] = set()
    for route in routes:
        included = getattr(route, "original_router", None)
        paths |= {str(getattr(route, "path", ""))} if included is None else routed(included.routes)
    return paths


def test_the_document_names_our_errors_and_who_needs_a_token(bench: Bench) -> None:
    for path, operations in bench.document["paths"].items():
        for operation in operations.values():
            answers = operation["responses"]
            assert "422" not in answers
            assert ("401" in answers) == ("security" in operation), path
            assert ("Retry-After" in answers.get("429", {}).get("headers", {})) == ("security" in operation), path
            for code in answers.keys() & {"400", "401", "403", "429"}:
                schema = answers[code]["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorBody"}
    assert set(bench.document["components"]["schemas"]) == {"ErrorBody", "ErrorCode"}
    assert bench.document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/snapshot?filter=%2B/%2B/L2/%2B/andon/%2B/%2B/L2.call.{}", None),
        ("GET", "/api/events?filter=%2B/%2B/L2/%2B/andon/%2B/%2B/L2.call.{}", None),
        ("GET", "/api/explain?subscription_type=line&target_id=L2", None),
        ("GET", "/api/explain?mqtt_filter=%2B/%2B/L2/%2B/andon/%2B/%2B/L2.call.{}", None),
        ("POST", "/api/explain", {"subscription_type": "job", "target_id": "job:L2.call.{}"}),
        (
            "POST", "/api/commands",
            {"id": "c{}", "action": "andon.acknowledge", "line_id": "L2", "call_id": "L2.call.{}"},
        ),
        ("POST", "/api/commands", {"id": "d{}", "action": "job.start", "line_id": "L2", "job_id": "{}"}),
    ],
)  # fmt: skip
def test_what_is_not_granted_answers_as_what_does_not_exist(bench: Bench, method: str, path: str, body: object) -> None:
    def answer(subject: str) -> tuple[int, bytes]:
        text = json.dumps(body).replace("{}", subject)
        got = bench.ask_as("narrow", method, path.replace("{}", subject), json.loads(text))
        return got.status, got.body.replace(subject.encode(), b"?")

    assert answer(SECRET) == answer("zz00")
