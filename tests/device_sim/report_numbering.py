"""Payloads of simulated reports for tests that need no simulated device: each numbered, none disturbed."""

from dataclasses import dataclass

from device_sim.reports import ReportMessage, encode


@dataclass(slots=True)
class ReportNumbering:
    """Numbers the reports of one device since its last boot, across all kinds."""

    boot_id: int
    seq: int = 0

    def payload(self, message: ReportMessage) -> bytes:
        """Encode a report with the device's next `seq`; the same reports give the same bytes."""
        seq, self.seq = self.seq, self.seq + 1
        return encode({"boot_id": self.boot_id, "seq": seq, **message.body})
