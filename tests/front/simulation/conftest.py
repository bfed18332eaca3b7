"""Quiet runs: what a front logs of a lost connection is what these tests are about."""

from tests.support.quiet_logs import quiet_logs

__all__ = ["quiet_logs"]
