"""Processes of `floor` that are forked, with everything imported, instead of started, in a sixth of the time.

python -m tests.support.fork_server, with a socket as stdin

Each request is a message with three descriptors: a socket for the answers, stdout and stderr. It is a JSON object:
`arguments` of `floor`, its `folder`, the whole `environment`, and `first`, what to call before the command: module,
function and arguments. The answers are JSON objects, a line each: {"pid"}, and {"ended": return code}. When the socket
for the answers is closed, the command is killed; when stdin is, the server ends.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from typing import Any, Final

IMPORTED: Final = (
    "bridge.cli",
    "bridge.journal.tools.export",
    "bridge.journal.tools.stats",
    "bridge.wiring.access_decisions",
    "bridge.wiring.bridge",
    "bridge.wiring.checks",
    "typer.rich_utils",
)  # the rest is what commands import when they are called
REQUEST_BYTES: Final = 100_000
MAY_TRACE: Final = 0x59616D61  # linux/prctl.h: PR_SET_PTRACER, and who: anybody
ANYBODY: Final = ctypes.c_ulong(-1)

Request = dict[str, Any]
Output = tuple[int, int]


def main() -> None:
    for module in IMPORTED:
        importlib.import_module(module)
    gc.freeze()  # what is imported stays shared with the forks
    signal.signal(signal.SIGCHLD, _reap)
    request = _serve()
    if request is not None:
        _run(request)


def _serve() -> tuple[Request, Output] | None:
    """Fork a supervisor for each request. Return in the command's process, with its output; None: at the end."""
    control = socket.socket(fileno=0)
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, REQUEST_BYTES, 3)
        if not message:
            return None
        answers, *output = descriptors
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            control.detach()
            _supervise(socket.socket(fileno=answers), output)
            return json.loads(message), (output[0], output[1])
        for descriptor in descriptors:
            os.close(descriptor)


def _reap(*_: object) -> None:
    """Wait for the supervisors that have ended, so that their processor time is this process's too."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _supervise(answers: socket.socket, output: list[int]) -> None:
    """Fork the command; return in its process only."""
    command = os.fork()
    if command == 0:
        answers.close()
        return
    for descriptor in output:
        os.close(descriptor)
    _tell(answers, pid=command)
    ended = os.pidfd_open(command)
    if ended not in select.select([ended, answers.fileno()], [], [])[0]:
        os.kill(command, signal.SIGKILL)
    _, status = os.waitpid(command, 0)
    _tell(answers, ended=os.waitstatus_to_exitcode(status))
    os._exit(0)


def _tell(answers: socket.socket, **facts: int) -> None:
    with contextlib.suppress(OSError):  # the test has ended
        answers.sendall(json.dumps(facts).encode() + b"\n")


def _run(request: tuple[Request, Output]) -> None:
    """Become the command."""
    wanted, output = request
    for place, descriptor in enumerate((os.open(os.devnull, os.O_RDONLY), *output)):
        os.dup2(descriptor, place)
        os.close(descriptor)
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    ctypes.CDLL(None).prctl(MAY_TRACE, ANYBODY)  # strace is no parent of ours
    if wanted["first"]:
        module, function, *arguments = wanted["first"]
        getattr(importlib.import_module(module), function)(*arguments)
    sys.argv = [sys.argv[0], *wanted["arguments"]]
    runpy.run_module("bridge", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
