"""Quiet links: what a fault run prints is its books."""

from tests.support.quiet_logs import quiet_logs

__all__ = ["quiet_logs"]
