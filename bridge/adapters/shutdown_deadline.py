"""The end of a process that cannot end by itself: a sync which the disk does not answer cannot be interrupted."""

import os
import threading

import structlog

log = structlog.get_logger(__name__)


def exit_within(seconds: float) -> None:
    """End this process with exit code 1 after so many seconds, whatever its threads wait for, unless it ended before.

    To the journal and the broker it is a kill: what was not committed was not acknowledged, and comes again.
    """
    timer = threading.Timer(seconds, _force_exit, [seconds])
    timer.daemon = True
    timer.start()


def _force_exit(seconds: float) -> None:
    log.critical("bridge.ended_unfinished", reason="something does not answer", seconds=seconds)
    os._exit(1)
