"""A deadline for shutdown: nothing can interrupt a sync that the disk does not complete."""

import os
import threading

import structlog

log = structlog.get_logger(__name__)


def exit_within(seconds: float) -> None:
    """End this process with exit code 1 after so many seconds, whatever its threads wait for, unless it ended before.

    For journal and broker this is a kill: what was not committed was not acknowledged, and the broker sends it again.
    """
    timer = threading.Timer(seconds, _force_exit, [seconds])
    timer.daemon = True
    timer.start()


def _force_exit(seconds: float) -> None:
    log.critical("bridge.shutdown_timed_out", reason="disk or broker did not respond", seconds=seconds)
    os._exit(1)
