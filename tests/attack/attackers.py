"""Processes that attack: compiled, so that they take little; and a server that bears everything, to compare with."""

import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.attack.shape import Attack
from tests.bench.processes import Talking, compile_program, cpu_seconds, talking, write_records
from tests.support.brokers import free_port

PROGRAMS: Final = Path(__file__).parent / "programs"
MODEST: Final = ("nice", "-n", "19")
"""A wrapper: take next to no processor from the others, as attackers have machines of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What an attack did. `open`: connections at the end; `opened`, `closed`, `refused`: how often; in bytes `sent`,
    `received`; `cycles`: how often a connection sent all that it repeats, or came and left.
    """

    open: int
    opened: int
    closed: int
    refused: int
    sent: int
    received: int
    cycles: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Attacker:
    """The process of an attack."""

    process: Talking

    async def counts(self) -> Counts:
        return Counts(**await self.process.ask("print"), cpu_seconds=cpu_seconds(self.process.pid))


@contextlib.asynccontextmanager
async def attacking(
    folder: Path, attack: Attack, port: int, *, name: str = "records", wrapper: Sequence[str] = ()
) -> AsyncIterator[Attacker]:
    """Attack the server at a port of this machine until the end of the block; `folder` is for the program.

    `wrapper` is a command that runs it under the same process id.
    """
    command: Sequence[str | Path]
    if attack.key_updates:
        command = sys.executable, "-m", "tests.attack.key_updates", str(port), str(attack.connections)
    else:
        records = write_records(folder / name, (part for pair in attack.records for part in pair))
        program = compile_program("attack", folder, programs=PROGRAMS)
        numbers = (attack.sources, attack.connections, int(attack.leaves), int(attack.reads))
        rates = (attack.opens_per_second, attack.bytes_per_second, attack.piece)
        command = program, str(port), records, *map(str, (*numbers, *rates))
    async with talking(*wrapper, *command) as process:
        yield Attacker(process)


@contextlib.asynccontextmanager
async def running_sink(folder: Path, *, wrapper: Sequence[str] = ()) -> AsyncIterator[int]:
    """Run a server that accepts and discards everything; yield its port."""
    port = free_port()
    async with talking(*wrapper, compile_program("sink", folder, programs=PROGRAMS), str(port)) as process:
        assert await process.answer() == port
        yield port
