"""Messages that a broker retains and should not, and conditions that tests of their audit wait for."""

import contextlib
import json
import shutil
import signal
from pathlib import Path

import aiomqtt

from bridge.domain.messages import Publication
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.mqtt.link import BrokerLink
from bridge.publisher.publisher import Publisher
from bridge.settings.broker import BrokerSettings
from tests.support.brokers import linked, mosquitto_broker, until
from tests.support.in_process import ROOT

STALE = "event/north/pack/L1/desk/andon/andon_event/high/old-call"
THEIRS = "event/south/pack/L7/desk/andon/andon_event/high/their-call"


async def retain(port: int, topics: dict[str, bytes]) -> None:
    async with linked(BrokerLink(BrokerSettings(port=port), client_id="an-older-bridge", durable=False)) as link:
        await link.publish_many(
            [Publication(f"{ROOT}/{topic}", payload, retain=True) for topic, payload in topics.items()]
        )


def of(stream: str) -> bytes:
    return json.dumps({"stream": stream, "epoch": "old", "offset": 3, "id": f"{stream}:old:3"}).encode()


class OldMemory:
    """A Mosquitto that can be killed and started again with what it remembered earlier."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.broker = mosquitto_broker(folder)
        self._file = folder / "mosquitto.db"
        self._kept = folder / "kept.db"

    async def remember(self) -> None:
        self.broker.send(signal.SIGUSR1)  # save now
        await until(self._file.exists, what="saved")
        size = -1
        while size != self._file.stat().st_size:  # it is written beside and renamed; whatever it is, it is whole
            size = self._file.stat().st_size
        shutil.copy(self._file, self._kept)

    def come_back_with_it(self) -> None:
        with contextlib.suppress(aiomqtt.MqttError):
            self.broker.kill()
        shutil.copy(self._kept, self._file)
        self.broker.start()


def right(journal: SqliteJournal) -> set[str]:
    return {f"event/{event.topic}" for event in journal.snapshot().events}


async def looked(publisher: Publisher) -> None:
    """Wait until what the broker retains was read on the link's present connection, and judged."""
    await until(lambda: publisher.audits > 0, seconds=30, what="looked at what is retained")
