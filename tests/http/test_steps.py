"""Work in steps for one socket: others take their turns in between, and the client's next message waits."""

from collections.abc import Generator
from dataclasses import dataclass, field

import pytest
from websockets.frames import Opcode

from bridge.http.load import ServerLoad
from bridge.settings.web import WebSettings
from tests.http.served_sockets import RawClient, Recorder, SocketApp, masked, served
from tests.support.brokers import until


@dataclass
class Work:
    """Steps without end until they are told, of which each takes the whole turn."""

    may_end: bool = False
    steps: int = 0
    is_closed: bool = False
    done: list[str] = field(default_factory=list)

    def begin(self, recorder: Recorder, message: str | bytes) -> None:
        self.done.append(f"{message!r}")
        if message == "long":
            recorder.socket.run_steps(self._steps())

    def _steps(self) -> Generator[None, None, None]:
        try:
            while not self.may_end:
                self.steps += 1
                yield
            self.done.append("end")
        finally:
            self.is_closed = True


def make_app(work: Work) -> SocketApp:
    def on_open(recorder: Recorder) -> None:
        recorder.on_message = lambda message: work.begin(recorder, message)

    return SocketApp(on_open=on_open)


async def test_the_next_message_waits_for_the_last_step() -> None:
    work, load = Work(), ServerLoad(WebSettings())
    async with served(make_app(work), load=load) as port:
        client = await RawClient.connect(port)
        await client.upgraded()
        client.writer.write(masked(Opcode.TEXT, b"long") + masked(Opcode.TEXT, b"next") + masked(Opcode.PING, b"p"))
        await until(lambda: work.steps > 100, what="steps are done")
        assert work.done == ["'long'"]
        assert not load.peers.user("eva").work.is_full(load.clock()), "the user pays"
        work.may_end = True
        await until(lambda: len(work.done) == 3, what="it goes on")
        assert work.done == ["'long'", "end", "'next'"]
        client.close()


@pytest.mark.parametrize("last", [masked(Opcode.CLOSE, b"\x03\xe8"), masked(3)], ids=["close", "violation"])
async def test_the_client_s_end_waits_for_the_last_step(last: bytes) -> None:
    work = Work()
    async with served(make_app(work)) as port:
        client = await RawClient.connect(port)
        await client.upgraded()
        client.writer.write(masked(Opcode.TEXT, b"long") + last)
        await until(lambda: work.steps > 100, what="steps are done")
        work.may_end = True
        assert (await client.close_frame())[0] in (1000, 1002)
        assert work.done == ["'long'", "end"]
        client.close()


async def test_others_are_served_between_the_steps() -> None:
    work = Work()
    app = make_app(work)
    async with served(app) as port:
        busy = await RawClient.connect(port)
        await busy.upgraded()
        busy.writer.write(masked(Opcode.TEXT, b"long"))
        await until(lambda: work.steps > 0, what="it has begun")
        app.user = "otto"
        other = await RawClient.connect(port)
        await other.upgraded()
        other.writer.write(masked(Opcode.TEXT, b"short"))
        await until(lambda: "'short'" in work.done, what="another user is served")
        assert "end" not in work.done
        work.may_end = True
        await until(lambda: "end" in work.done, what="it ends")
        for client in (busy, other):
            client.close()


async def test_the_end_of_the_connection_ends_the_steps() -> None:
    work = Work()
    app = make_app(work)
    async with served(app) as port:
        client = await RawClient.connect(port)
        await client.upgraded()
        client.writer.write(masked(Opcode.TEXT, b"long"))
        await until(lambda: work.steps > 0, what="it has begun")
        app.opened[0].socket.close(1000, "")
        assert work.is_closed
        assert work.done == ["'long'"]
        client.close()
