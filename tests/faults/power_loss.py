"""A disk as cruel as the rules allow, made from the system calls that a process was seen to make.

What was written and not synced may be there or not after a loss of power, page by page. What was written before a sync
that failed is lost for good, as in kernels that then take the page for clean: a later sync that succeeds does not bring
it back (https://lwn.net/Articles/752063).
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

PAGE: Final = 4096
SYNCS: Final = ("fsync", "fdatasync")
STDOUT: Final = 1
CALL: Final = re.compile(r'(\w+)\((\d+)<([^>]*)>(?:, "([^"]*)", \d+(?:, (\d+))?)?\) += (-?\d+)')


class Syscall(NamedTuple):
    """One system call on a file: `data` at `offset` for a write."""

    name: str
    fd: int
    file: str  # its name without folders
    data: bytes
    offset: int
    returned: int


def syscalls(log: Path) -> Iterator[Syscall]:
    """Read what `strace -y -xx` wrote of a process with one thread."""
    for line in log.read_text().splitlines():
        match = CALL.match(line)
        if match is not None:
            name, fd, path, data, offset, returned = match.groups()
            file = _bytes(path).decode().rpartition("/")[2]
            yield Syscall(name, int(fd), file, _bytes(data or ""), int(offset or 0), int(returned))


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


@dataclass
class Disk:
    """`durable`: what is there whatever happens; `pending`: what a sync of its file would make durable."""

    durable: dict[str, bytearray]
    pending: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    lost: int = 0  # bytes that a failed sync took

    def take(self, call: Syscall) -> None:
        waiting = self.pending.setdefault(call.file, [])
        if call.name == "pwrite64" and call.returned > 0:
            waiting.append((call.offset, call.data[: call.returned]))
        elif call.name in SYNCS:
            if call.returned == 0:
                for path in waiting:
                    _write(self.durable.setdefault(call.file, bytearray()), *path)
            else:
                self.lost += sum(len(data) for _, data in waiting)
            waiting.clear()

    def lose_power(self, folder: Path, chance: random.Random) -> None:
        """Write what may be found afterwards: all that is durable, and any of the pages that are not."""
        for name, content in self.durable.items():
            image = bytearray(content)
            for offset, data in self.pending.get(name, []):
                for start in range(0, len(data), PAGE):
                    if chance.random() < 0.5:
                        _write(image, offset + start, data[start : start + PAGE])
            (folder / name).write_bytes(image)


def _write(content: bytearray, offset: int, data: bytes) -> None:
    content.extend(bytes(max(0, offset + len(data) - len(content))))
    content[offset : offset + len(data)] = data
