"""Quiet links: a fault run prints only its ledgers."""

from tests.support.quiet_logs import quiet_logs

__all__ = ["quiet_logs"]
