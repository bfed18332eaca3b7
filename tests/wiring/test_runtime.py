"""Settings of the process that a bridge runs in."""

import subprocess
import sys

from bridge.wiring.runtime import SWITCH_SECONDS

PROGRAM = """
import sys
from bridge.wiring import runtime

async def main() -> None:
    print(sys.getswitchinterval())

runtime.run(main())
"""


def test_a_thread_that_waits_for_a_busy_loop_soon_runs() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True)
    assert float(run.stdout) == SWITCH_SECONDS
