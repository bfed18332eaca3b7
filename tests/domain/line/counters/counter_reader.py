"""A reader of one counter for tests: samples by second, and their totals."""

from dataclasses import dataclass

from bridge.domain.line.counters import machine_counters
from bridge.domain.line.counters.counter_delta import CounterDelta, judge_sample
from bridge.domain.line.counters.counter_table import RegisterLimits
from bridge.domain.line.counters.registers import Register, RegisterSample, mark_interrupted

WORD = 65_536


@dataclass
class CounterReader:
    """Reads samples, given with their second of receipt and perhaps of the device's clock."""

    rule: RegisterLimits
    register: Register | None = None
    total: int = 0
    estimated: bool = False

    def read(self, value: int, at: float, *, dated: float | None = None, boot: int | None = None) -> CounterDelta:
        mark = RegisterSample(value, round(at * 1000), None if dated is None else round(dated * 1000), boot)
        result = judge_sample(self.register, mark, limits=self.rule)
        self.register = result.register
        self.total += result.delta
        self.estimated = self.estimated or result.estimated
        return result

    def read_all(self, *samples: tuple[int, float]) -> CounterDelta:
        return [self.read(value, at) for value, at in samples][-1]

    def interrupt(self) -> None:
        assert self.register is not None
        self.register = mark_interrupted(self.register)

    def restart(self) -> None:
        """Record a birth with any boot id."""
        assert self.register is not None
        registers: machine_counters.Registers = {"total": self.register}
        machine_counters.mark_registers_restarted(registers)
        self.register = registers["total"]


def reader(modulus: int | None = None, *, rate: float = 600.0) -> CounterReader:
    return CounterReader(RegisterLimits(modulus=modulus, max_rate_per_minute=rate, slack=10, max_dip=5))
