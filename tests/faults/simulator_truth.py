"""The truth that a `device-sim run` wrote, and what of it reached the bridge's journal, for the ledger and the recount.

A report is known in the journal by its topic and payload. Devices without numbers or a clock say the same again: of
theirs the first copy in the journal is the first in the truth, and so on.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bridge.domain.internal_inputs import ABSENCE_TOPIC, BridgeAbsence
from bridge.domain.records import JournalEntry
from device_sim import plant_file
from device_sim.reports import report_topic
from device_sim.simulated_network.broker_session import ReceivedPublish
from device_sim.truth.truth import RegisterTruth, TrueReport, Truth
from tests.faults.simulated_load import SentReport
from tests.recount.core_driver import Fed, Unwatched

SIMULATED: Final = plant_file.load(plant_file.SHIPPED)
PLACES: Final = {name: (line.area, line.id) for line, name in SIMULATED.devices()}


@dataclass(frozen=True)
class PlayedTruth:
    truth: Truth
    reports: frozenset[SentReport]

    @property
    def sent(self) -> list[SentReport]:
        """Reports that were published, equal ones each; one that was sent again is one. And what is no report."""
        reports = [self.report(report) for report in self.truth.said if report.sent]
        return [*reports, *((topic, payload) for _, topic, payload, _ in self.truth.extras)]

    @property
    def acknowledged(self) -> list[SentReport]:
        """Reports that the broker has acknowledged, and must keep for the bridge: those with QoS 1."""
        return [self.report(report) for report in self.truth.said if self.is_acknowledged(report)]

    def is_acknowledged(self, true_report: TrueReport) -> bool:
        return true_report.fate == "published" and true_report.kind not in self.truth.traits[true_report.device]["qos0"]

    def identifies(self, report: SentReport) -> bool:
        """Return whether a copy of a report can be distinguished from a second report: docs/devices.md."""
        device = report[0].split("/")[-2]
        if device not in PLACES:
            return True
        if report not in self.reports:
            return False  # malformed, or a Will
        traits, body = self.truth.traits[device], json.loads(report[1])
        clock = traits["clock"]
        dated = "ts" in body and clock["stands_at"] is None and not clock["whole_seconds"]
        return dated or ("seq" in body and traits["boot_ids"] == "time")

    @staticmethod
    def report(true_report: TrueReport) -> SentReport:
        area, line = PLACES[true_report.device]
        return report_topic(SIMULATED.site, area, line, true_report.device, true_report.kind), true_report.payload

    def fed(self, entries: Iterable[JournalEntry]) -> Iterator[Fed]:
        """Yield the simulated plant's reports that the bridge applied, as a rehearsal would have delivered them."""
        first: dict[SentReport, deque[int]] = {}
        for true_report in self.truth.said:
            if true_report.payload:
                first.setdefault(self.report(true_report), deque()).append(true_report.number)
        numbers: dict[SentReport, int] = {}
        for message in (entry.input for entry in entries):
            if message.topic == ABSENCE_TOPIC:
                yield Unwatched(message.received_at, BridgeAbsence.decode(message.payload).since)
                continue
            if not message.topic.startswith("report/") or message.topic.split("/")[-2] not in (*PLACES, "_"):
                continue
            report = (message.topic, message.payload)
            waiting = first.get(report)
            if waiting and not message.retained and not (message.redelivered and report in numbers):
                numbers[report] = waiting.popleft()
            number = numbers.get(report)
            if message.topic.split("/")[3] in LINES:
                yield ReceivedPublish(message.received_at, *report, message.retained, message.redelivered, 0, number)


LINES: Final = frozenset(line.id for line in SIMULATED.lines)


def read_truth(path: Path) -> PlayedTruth:
    """Read a file of `device-sim run --truth`, complete because the run has ended."""
    lists: dict[str, list[dict[str, Any]]] = {}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        lists.setdefault(record.pop("truth"), []).append(record)
    (run,) = lists["run"]
    truth = Truth(run["seed"], run["profile"], run["start"], run["until"], traits=run["devices"])
    truth.said = sorted(map(_true_report, lists["said"]), key=lambda true_report: true_report.number)
    truth.registers = [RegisterTruth(**fields) for fields in lists.get("registers", ())]
    truth.extras = [
        (fields["at"], fields["topic"], fields["payload"].encode(), fields["what"])
        for fields in lists.get("extras", ())
    ]
    return PlayedTruth(truth, frozenset(PlayedTruth.report(report) for report in truth.said if report.payload))


def _true_report(record: Mapping[str, Any]) -> TrueReport:
    return TrueReport(**{**record, "payload": record["payload"].encode()})
