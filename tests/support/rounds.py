"""Repetitions of a fault test: few in `make test`, more in `make faults`, most in `make proof`."""

import pytest


def rounds(short: int, *, faults: int, proof: int | None = None) -> pytest.MarkDecorator:
    """Give a test its `rounds` in each of the three runs; without `proof` it is not repeated there."""
    forms = [pytest.param(short, id="short"), pytest.param(faults, id="faults", marks=pytest.mark.faults)]
    if proof is not None:
        forms.append(pytest.param(proof, id="proof", marks=pytest.mark.proof))
    return pytest.mark.parametrize("rounds", forms)
