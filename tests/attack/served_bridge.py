"""The bridge under attack, over plain sockets or with HTTPS; and a server that bears everything, as it is then."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.attack.attackers import MODEST, running_sink
from tests.attack.relay import accepting_tls, connecting_by_tls
from tests.support.bridge_process import PROGRAM, BridgeProcess, ProgramLauncher, configured
from tests.support.brokers import RunningBroker, free_port
from tests.support.certificates import self_signed

TlsFiles = tuple[Path, Path]
"""Certificate and key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedBridge:
    """A bridge. Its own `port`, and `health_port`, are those of who is honest: never TLS."""

    process: BridgeProcess
    health_port: int
    attacked_port: int
    tls: TlsFiles | None


@contextlib.asynccontextmanager
async def served_bridge(
    folder: Path,
    broker: RunningBroker,
    plant: Path,
    *,
    descriptors: int | None,
    settings: Mapping[str, str],
    tls: bool,
) -> AsyncIterator[ServedBridge]:
    """Run a bridge until the end of the block; `descriptors`, `settings` and `tls` as in `running_plant`."""
    limit = () if descriptors is None else ("prlimit", f"--nofile={descriptors}:{descriptors}")
    health_port = free_port()
    files = self_signed(folder) if tls else None
    environment = {
        "FLOOR_WEB__METRICS_PORT": str(health_port),
        **(
            {}
            if files is None
            else {"FLOOR_WEB__TLS_CERT_FILE": str(files[0]), "FLOOR_WEB__TLS_KEY_FILE": str(files[1])}
        ),
        **settings,
    }
    launcher = ProgramLauncher(wrapper=limit) if limit else PROGRAM
    bridge = configured(folder, broker, plant=plant, environment=environment, launcher=launcher)
    try:
        await bridge.launch()
        async with contextlib.AsyncExitStack() as stack:
            ports: Sequence[int] = (bridge.port, health_port)
            if files is not None:
                ports = await stack.enter_async_context(connecting_by_tls(files[0], *ports))
            honest = replace(bridge, port=ports[0])
            await honest.ready()
            yield ServedBridge(process=honest, health_port=ports[1], attacked_port=bridge.port, tls=files)
    finally:
        await bridge.kill()


@contextlib.asynccontextmanager
async def modest_sink(programs: Path, tls: TlsFiles | None) -> AsyncIterator[int]:
    """Run a server in place of a bridge; yield its port."""
    async with running_sink(programs, wrapper=MODEST) as port:
        if tls is None:
            yield port
        else:
            async with accepting_tls(tls, port, wrapper=MODEST) as tls_port:
                yield tls_port
