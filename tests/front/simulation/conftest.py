"""Quiet runs: what a front logs of a lost connection is what these tests are about."""

from tests.faults.conftest import _quiet as _quiet  # noqa: PLC0414 - a fixture is used by being here
