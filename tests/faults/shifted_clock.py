"""A Python command on a wall clock that is ahead of the real one. Its monotonic clock is the kernel's.

    python -m tests.faults.shifted_clock SECONDS python -m MODULE ARGUMENTS

As libfaketime would do it, which a busy process cannot bear: it spins in each wait with a timeout.
"""

import runpy
import sys
import time


def main(ahead: float, module: str, arguments: list[str]) -> None:
    real, shift = time.time_ns, round(ahead * 1e9)
    time.time_ns = lambda: real() + shift
    time.time = lambda: time.time_ns() / 1e9
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _, seconds, _, _, name, *arguments = sys.argv
    main(float(seconds), name, arguments)
