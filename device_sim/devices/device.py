"""A simulated device: its boots, sequence numbers, clock and register readings, and the packets built from them."""

from dataclasses import asdict, dataclass

from device_sim.devices.device_clock import DeviceClock
from device_sim.disturbances.traits import Traits
from device_sim.plant.registers import Registers
from device_sim.plant.simulated_plant import SimulatedPlant
from device_sim.reports import ReportMessage, encode
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import Millis
from device_sim.truth.truth import RegisterEvent, RegisterTruth, TrueReport, Truth


@dataclass(frozen=True, slots=True)
class Packet:
    """One PUBLISH of a device; `topic` is relative to the root. A resend is identical."""

    true_report: TrueReport | None
    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


class SimulatedDevice:
    """Turns a device's reports into packets, and records the truth about each."""

    def __init__(
        self,
        name: str,
        traits: Traits,
        *,
        rng: SeededRandom,
        registers: Registers | None,
        start: Millis,
        truth: Truth,
    ) -> None:
        self.name = name
        self.traits = traits
        self.registers = registers
        self.powered = True
        self.boot_id = 0
        self.clock = DeviceClock(name, traits.clock, rng, start, truth)
        self._rng = rng
        self._truth = truth
        self._seq = 0
        self._connects = 0
        self._shown: dict[str, int] | None = None
        truth.traits[name] = asdict(traits)
        if registers is not None and traits.near_wrap is not None:
            registers.set_before_wrap(traits.near_wrap)

    def power_up(self, at: Millis) -> None:
        self.powered = True
        self._connects = 0
        self.clock.power_up(at)

    def boot(self, at: Millis) -> None:
        """Start a new boot, as at every connect: a new `boot_id`, and `seq` from 0."""
        self._connects += 1
        self._seq = 0
        self.boot_id = self._connects if self.traits.boot_ids == "counter" else max(self.boot_id + 1, at)

    def record_report(
        self, message: ReportMessage, at: Millis, made: dict[str, int] | None = None, *, standing: bool = False
    ) -> TrueReport:
        """Record a report in the truth; `build_packet` numbers it later."""
        report = TrueReport(next(self._truth.numbers), at, self.name, message.kind, dict(message.body), standing, made)
        self._truth.reports.append(report)
        if message.kind == "counts":
            self._record_wrap(report)
        return report

    def build_packet(self, true_report: TrueReport, topic: str) -> Packet:
        """Return the packet of a report: numbered as the device's next, timestamped and encoded."""
        if true_report.kind == "counts":
            self._read(true_report)
        common: dict[str, object] = {}
        if self.traits.boot_ids != "none":
            common["boot_id"] = true_report.boot_id = self.boot_id
        if self.traits.seq:
            true_report.position = self._seq
            common["seq"] = true_report.seq = self._seq % (self.traits.seq_modulus or self._seq + 1)
            self._seq += 1
        if self.traits.ts:
            common["ts"] = true_report.ts = self.clock.read(true_report.at)
        true_report.payload = encode({**common, **true_report.body})
        return Packet(
            true_report,
            topic,
            true_report.payload,
            0 if true_report.kind in self.traits.qos0 else 1,
            self.traits.retain,
        )

    def will_payload(self) -> bytes:
        """Return the payload of this connection's Will."""
        common: dict[str, object] = {}
        if self.traits.boot_ids != "none":
            common["boot_id"] = self.boot_id
        return encode({**common, "seq": 0} if self.traits.seq else common)

    def _read(self, true_report: TrueReport) -> None:
        """Apply a glitch or a dip to the counts of a report, by chance."""
        assert self.registers is not None
        assert true_report.made is not None
        real = _readings(true_report)
        traits, rng = self.traits, self._rng
        if traits.glitch_ratio and rng.happens(traits.glitch_ratio):
            wild = round(rng.uniform(0, self.registers.modulus - 1))
            shown = dict.fromkeys(
                real, self.registers.wrap_count(wild if traits.glitch_to is None else traits.glitch_to)
            )
            self._note(true_report, "glitch", shown, real)
        elif traits.dip_ratio and rng.happens(traits.dip_ratio):
            by = rng.choice(range(1, traits.dip_pieces + 1))
            shown = {name: self.registers.wrap_count(real[name] - by) for name in real}
            self._note(true_report, "dip", shown, real)
        else:
            return
        true_report.body |= shown

    def _record_wrap(self, true_report: TrueReport) -> None:
        assert self.registers is not None
        shown = _readings(true_report)
        half = self.registers.modulus // 2
        if self._shown is not None and any(self._shown[name] - value > half for name, value in shown.items()):
            self._note(true_report, "wrap", shown, shown)
        self._shown = shown

    def set_registers(self, at: Millis, made: dict[str, int], to: int, what: RegisterEvent) -> None:
        """Set the registers to a value, and record it in the truth."""
        assert self.registers is not None
        before = self.registers.read(made)
        self.registers.set(made, to)
        self._shown = None
        self._truth.registers.append(RegisterTruth(at, self.name, what, self.registers.read(made), before, dict(made)))

    def _note(self, true_report: TrueReport, what: RegisterEvent, shown: dict[str, int], real: dict[str, int]) -> None:
        assert true_report.made is not None
        self._truth.registers.append(
            RegisterTruth(true_report.at, self.name, what, dict(shown), real, true_report.made)
        )


def build_devices(plant: SimulatedPlant, traits: dict[str, Traits], truth: Truth) -> dict[str, SimulatedDevice]:
    """Return every device of the plant by name, with its traits; registers near their wrap are set so."""
    devices: dict[str, SimulatedDevice] = {}
    for name in plant.devices:
        controller = plant.line_of(name).controllers.get(name)
        registers = None if controller is None else controller.registers
        rng = SeededRandom(truth.seed, f"device/{name}")
        devices[name] = SimulatedDevice(
            name, traits[name], rng=rng, registers=registers, start=truth.start, truth=truth
        )
    return devices


def _readings(true_report: TrueReport) -> dict[str, int]:
    fields: tuple[str, ...] = ("total", "good", "reject")
    return {name: true_report.body[name] for name in fields if name in true_report.body}
