"""The broker stopped and frozen under load: reported within 5 s, healed, and nothing lost or doubled."""

import signal
from pathlib import Path

from tests.faults.bridge_under_load import bridge_under_load
from tests.support.brokers import RunningBroker, until
from tests.support.rounds import rounds

REPORTS = 60


@rounds(1, faults=4)
async def test_a_broker_that_restarts_loses_nothing(tmp_path: Path, mosquitto: RunningBroker, rounds: int) -> None:
    async with bridge_under_load(tmp_path, mosquitto) as loaded:
        for _ in range(rounds):
            await loaded.load.more(REPORTS)
            mosquitto.stop()  # in an orderly way: it saves its sessions
            await until(lambda: not loaded.dashboard.live, seconds=5, what="not live")
            mosquitto.start()
            await until(lambda: loaded.dashboard.live, seconds=20, what="healed")
        ledger = await loaded.close_ledger(f"{rounds} restarts of the broker")
    assert ledger.wrong == {}


@rounds(1, faults=4)
async def test_a_frozen_broker_is_noticed_and_loses_nothing(
    tmp_path: Path, mosquitto: RunningBroker, rounds: int
) -> None:
    async with bridge_under_load(tmp_path, mosquitto) as loaded:
        for _ in range(rounds):
            await loaded.load.more(REPORTS)
            mosquitto.send(signal.SIGSTOP)
            await until(lambda: not loaded.dashboard.live, seconds=5, what="not live")
            mosquitto.send(signal.SIGCONT)
            await until(lambda: loaded.dashboard.live, seconds=20, what="healed")
        ledger = await loaded.close_ledger(f"{rounds} freezes of the broker")
    assert ledger.wrong == {}
