"""Disturbed devices keep the contract: every payload that a profile does not call malformed is decoded."""

import pytest

from bridge.domain.reports import Disposition
from bridge.ingest.native import decode
from device_sim import profile
from device_sim.rehearsal import ReceivedPublish, rehearse
from tests.device_sim.sample_plants import MINUTE, SHIPPED, START


@pytest.mark.parametrize("name", profile.NAMES)
def test_a_profile_produces_well_formed_payloads(name: str) -> None:
    rehearsal = rehearse(SHIPPED, profile.load(name), seed=2, start=START, duration=20 * MINUTE)
    arrivals = [message for message in rehearsal if isinstance(message, ReceivedPublish)]
    malformed = {(topic, payload) for _, topic, payload, kind in rehearsal.truth.extras if kind == "malformed"}
    for number, arrival in enumerate(arrivals):
        decoded = decode(
            arrival.topic, arrival.payload, received_at=arrival.at, cause=f"input:{number}", retained=arrival.retained
        )
        if isinstance(decoded, Disposition):
            assert (arrival.topic, arrival.payload) in malformed, (arrival, decoded)
        elif arrival.number is not None:
            assert not decoded.unknown_fields
