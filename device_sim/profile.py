"""Profiles: named sets of disturbances, shipped with the simulator or read from a TOML file."""

import heapq
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, ValidationError

from device_sim import broker_trouble, clock_trouble, device_trouble, register_trouble
from device_sim.chance import Millis, SeededRandom
from device_sim.disturbance import DisturbanceTarget, RandomFactory, build_targets
from device_sim.incident import Incident
from device_sim.plant_file import PlantSpec, SimulationModel
from device_sim.suggestion import suggest
from device_sim.traits import Traits
from device_sim.validation_text import describe_error

AnyDisturbance = Annotated[
    device_trouble.PowerCut
    | device_trouble.LinkLoss
    | device_trouble.SharedGateway
    | device_trouble.StoreAndForward
    | device_trouble.ResentReports
    | device_trouble.Reorder
    | device_trouble.Jitter
    | device_trouble.QosZero
    | device_trouble.RetainFlag
    | device_trouble.Leftovers
    | device_trouble.LateWill
    | device_trouble.ForeignWill
    | device_trouble.Malformed
    | device_trouble.LongRepairs
    | device_trouble.BusyPeople
    | clock_trouble.ClockSkew
    | clock_trouble.ClockStands
    | clock_trouble.Clock1970
    | clock_trouble.ClockSeconds
    | clock_trouble.NoTimestamp
    | clock_trouble.NoBootId
    | clock_trouble.RepeatedBootId
    | clock_trouble.ShortSeq
    | register_trouble.RegisterReset
    | register_trouble.NearWrap
    | register_trouble.Glitch
    | register_trouble.Dip
    | broker_trouble.BrokerCut
    | broker_trouble.BridgeLinkLoss
    | broker_trouble.BridgeCut,
    Field(discriminator="kind"),
]

FOLDER: Final = Path(__file__).with_name("profiles")
NAMES: Final = ("clean", "wifi", "old-plc", "night-off", "gateway", "chaos")

LISTED: Final = "; `device-sim list` names those there are"


class ProfileError(Exception):
    """Raised when a profile cannot be used; the message names every fault with its place."""


class Profile(SimulationModel):
    """The disturbances of a run."""

    name: str = "unnamed"
    about: str = ""
    queue_limit: int = Field(100_000, ge=1)  # reports that the broker queues for the bridge while it is offline
    disturbances: tuple[AnyDisturbance, ...] = ()

    def apply_to_plant(self, spec: PlantSpec) -> PlantSpec:
        for disturbance in self.disturbances:
            spec = disturbance.apply_to_plant(spec)
        return spec

    def traits(self, spec: PlantSpec, *, seed: int) -> dict[str, Traits]:
        """Return the traits of each device, by name."""
        everybody = build_targets(spec)
        found = {each.name: Traits() for each in everybody}
        for index, disturbance in enumerate(self.disturbances):
            chance_for = _chances(seed, index, disturbance.kind)
            for target in disturbance.select_targets(everybody, chance_for):
                found[target.name] = disturbance.apply_to_traits(
                    found[target.name], target, chance_for(f"traits/{target.name}")
                )
        return found

    def incidents(self, spec: PlantSpec, *, seed: int, start: Millis) -> Iterator[Incident]:
        """Yield the incidents in order of their start, possibly endlessly."""
        everybody: list[DisturbanceTarget] = build_targets(spec)
        streams: list[Iterator[Incident]] = []
        for index, disturbance in enumerate(self.disturbances):
            chance_for = _chances(seed, index, disturbance.kind)
            streams += disturbance.incidents(disturbance.select_targets(everybody, chance_for), start, chance_for)
        return heapq.merge(*streams, key=lambda incident: incident.at)


def _chances(seed: int, index: int, kind: str) -> RandomFactory:
    return lambda name: SeededRandom(seed, f"disturbance/{index}/{kind}/{name}")


def load(name_or_path: str, *, spec: PlantSpec | None = None) -> Profile:
    """Return a shipped profile, or read one from a file; raise `ProfileError` if it cannot be used.

    With a `spec`, the devices and lines that a file names must exist in it; shipped profiles are not checked.
    """
    if name_or_path in NAMES:
        return _read(FOLDER / f"{name_or_path}.toml")
    path = Path(name_or_path)
    if not path.exists():
        hint = suggest(name_or_path, NAMES)
        raise ProfileError(f"no profile and no file is called {name_or_path}{hint}\n  profiles: {', '.join(NAMES)}")
    read = _read(path)
    if spec is not None and (unknown := list(_unknown(read, spec))):
        raise ProfileError("\n".join(f"{path}: {each}" for each in unknown))
    return read


def _read(path: Path) -> Profile:
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
        return Profile.model_validate({"name": path.stem, **tree})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProfileError(f"{path}: {error}") from error
    except ValidationError as error:
        faults = [
            f"{path}: {'.'.join(map(str, each['loc'])) or 'profile'}: {describe_error(each)}" for each in error.errors()
        ]
        raise ProfileError("\n".join(faults)) from error


def _unknown(profile: Profile, spec: PlantSpec) -> Iterator[str]:
    """Yield an error for each line and device pattern that matches nothing: the disturbance would never occur."""
    devices = [name for _, name in spec.devices()]
    lines = [line.id for line in spec.lines]
    for index, disturbance in enumerate(profile.disturbances):
        place = f"disturbances.{index}.{disturbance.kind}"
        for pattern in disturbance.devices:
            if not any(fnmatchcase(name, pattern) for name in devices):
                yield f"{place}.devices: no device is called {pattern}{suggest(pattern, devices) or LISTED}"
        for line in disturbance.lines if isinstance(disturbance, device_trouble.SharedGateway) else ():
            if line not in lines:
                yield f"{place}.lines: no line is called {line}{suggest(line, lines) or LISTED}"
