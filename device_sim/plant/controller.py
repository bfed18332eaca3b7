"""The reports of a machine's controller, and their timing. Source: docs/devices.md."""

from typing import Final

from device_sim.plant import packml
from device_sim.plant.machine import Condition, SimulatedMachine
from device_sim.plant.quality import InspectionSampler, MeasuredParameter
from device_sim.plant.registers import Registers
from device_sim.reports import ReportContent
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import SECOND, Millis

STATE_PERIOD: Final = 60 * SECOND
COUNTS_PERIOD: Final = 10 * SECOND
MEASUREMENT_PERIOD: Final = 30 * SECOND
INFORMATION_MEAN: Final = 240 * SECOND  # between two changes of an informational bit

WORD: Final[dict[Condition, str]] = {
    Condition.IDLE: "idle",
    Condition.SETUP: "setup",
    Condition.BREAK: "stopped",
    Condition.RUNNING: "running",
    Condition.JAMMED: "stopped",
    Condition.FAULT: "fault",
    Condition.STARVED: "idle",
    Condition.BLOCKED: "idle",
    Condition.OFF: "stopped",  # never reported: its controller has no power either
}


class Controller:
    """Reports for one machine: state on change and every minute, counts every 10 s, or every minute if unchanged."""

    def __init__(
        self,
        machine: SimulatedMachine,
        parameter: MeasuredParameter | None,
        inspection: InspectionSampler | None,
        rng: SeededRandom,
        now: Millis,
    ) -> None:
        self.machine = machine
        self.registers = Registers(machine.spec)
        self._parameter = parameter
        self._inspection = inspection
        self._rng = rng
        self._condition = machine.condition
        self._acting_state: str | None = None
        self._information: frozenset[int] = frozenset()
        self._information_at = now + rng.exponential(INFORMATION_MEAN)
        self._reported_state: dict[str, object] = {}
        self._reported_counts: dict[str, object] = {}
        phase = round(rng.uniform(0, COUNTS_PERIOD))  # controllers do not report at the same moment
        self._state_at = now
        self._counts_at = now + phase
        self._counts_reported_at = now
        self._measure_at = now + phase
        self._inspect_at = now + phase

    def reports(self, now: Millis) -> list[ReportContent]:
        """Return the reports due at `now`; call it every tick."""
        self._toggle_information_bit(now)
        reports = [*self._due_state(now), *self._due_counts(now)]
        running = self.machine.condition is Condition.RUNNING
        if running and self._parameter is not None and now >= self._measure_at:
            self._measure_at = now + MEASUREMENT_PERIOD
            spec = self._parameter.spec
            body = {"parameter": spec.name, "value": self._parameter.measure(), "unit": spec.unit}
            reports.append(("measurement", body))
        if running and self._inspection is not None and now >= self._inspect_at:
            sample = self._inspection.spec
            self._inspect_at = now + round(sample.every_seconds * SECOND)
            defects = self._inspection.count_defects(now)
            reports.append(
                ("inspection", {"inspected": sample.sample, "defects": defects, "parameter": sample.parameter})
            )
        return reports

    def current_reports(self) -> list[ReportContent]:
        """Return the current state and counts, for sending after the birth."""
        return [("state", self._state()), ("counts", self._counts())]

    def _due_state(self, now: Millis) -> list[ReportContent]:
        condition = self.machine.condition
        self._acting_state = packml.acting_state(self._condition, condition)
        self._condition = condition
        state = self._state()
        if state == self._reported_state and now < self._state_at:
            return []
        self._reported_state = state
        self._state_at = now + STATE_PERIOD
        return [("state", state)]

    def _due_counts(self, now: Millis) -> list[ReportContent]:
        if now < self._counts_at:
            return []
        self._counts_at = now + COUNTS_PERIOD
        counts = self._counts()
        if counts == self._reported_counts and now - self._counts_reported_at < STATE_PERIOD:
            return []
        self._reported_counts, self._counts_reported_at = counts, now
        return [("counts", counts)]

    def _state(self) -> dict[str, object]:
        machine, spec = self.machine, self.machine.spec
        state: dict[str, object] = {}
        if spec.packml is None:
            state["state"] = WORD[machine.condition]
        else:
            name = self._acting_state or packml.STEADY[machine.condition]
            setup = machine.condition is Condition.SETUP
            mode = packml.CHANGEOVER_MODE if setup else packml.PRODUCTION_MODE
            state["packml"] = {"dialect": spec.packml, "state": packml.NUMBER[spec.packml][name], "mode": mode}
        state |= {"speed": machine.speed, "speed_setpoint": machine.rated_speed}
        if machine.condition is Condition.STARVED:
            state["upstream_stop"] = True
        if machine.condition is Condition.BLOCKED:
            state["downstream_stop"] = True
        if machine.condition is Condition.BREAK:
            state["planned_stop"] = True
        if spec.has_fault_word:
            state["fault_bits"] = f"{self._fault_word():016x}"
        elif machine.faults:
            state["fault_codes"] = [fault.code for fault in machine.faults]
        if machine.reason is not None:
            state["reason_code"] = machine.reason
        if spec.tells_product and machine.product is not None:
            state["product"] = machine.product
        return state

    def _fault_word(self) -> int:
        machine, spec = self.machine, self.machine.spec
        bits = {fault.bit for fault in machine.faults} | self._information
        if machine.condition is Condition.STARVED:
            bits.add(spec.starved_bit)
        if machine.condition is Condition.BLOCKED:
            bits.add(spec.blocked_bit)
        return sum(1 << bit for bit in bits if bit is not None)

    def _toggle_information_bit(self, now: Millis) -> None:
        spec = self.machine.spec
        if spec.information_bits and now >= self._information_at:
            self._information ^= {self._rng.choice(spec.information_bits)}
            self._information_at = now + self._rng.exponential(INFORMATION_MEAN)

    def _counts(self) -> dict[str, object]:
        counts: dict[str, object] = {**self.registers.read(self.machine.made)}
        if self.machine.spec.tells_modulus:
            counts["modulus"] = self.registers.modulus
        return counts
