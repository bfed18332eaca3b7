"""Profiles: named sets of disturbances, shipped with the simulator or read from a TOML file."""

import heapq
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from pydantic import Field

from device_sim.disturbances.disturbance import RandomFactory, build_targets
from device_sim.disturbances.failures import SharedGateway
from device_sim.disturbances.incidents import Incident
from device_sim.disturbances.kinds import AnyDisturbance
from device_sim.disturbances.traits import Traits
from device_sim.errors import UnknownName, suggest
from device_sim.plant_file import PlantSpec
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import Millis
from device_sim.toml_files import SimulationFileError, SimulationModel, read_toml, validate

FOLDER: Final = Path(__file__).with_name("profiles")
NAMES: Final = ("clean", "wifi", "old-plc", "night-off", "gateway", "chaos")

LISTED: Final = "; `device-sim list` shows those of the plant"


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
        targets = build_targets(spec)
        traits = {target.name: Traits() for target in targets}
        for index, disturbance in enumerate(self.disturbances):
            rng_for = _random_factory(seed, index, disturbance.kind)
            for target in disturbance.select_targets(targets, rng_for):
                traits[target.name] = disturbance.apply_to_traits(
                    traits[target.name], target, rng_for(f"traits/{target.name}")
                )
        return traits

    def incidents(self, spec: PlantSpec, *, seed: int, start: Millis) -> Iterator[Incident]:
        """Yield the incidents in order of their start, possibly endlessly."""
        targets = build_targets(spec)
        streams: list[Iterator[Incident]] = []
        for index, disturbance in enumerate(self.disturbances):
            rng_for = _random_factory(seed, index, disturbance.kind)
            streams += disturbance.incidents(disturbance.select_targets(targets, rng_for), start, rng_for)
        return heapq.merge(*streams, key=lambda incident: incident.at)


def _random_factory(seed: int, index: int, kind: str) -> RandomFactory:
    return lambda name: SeededRandom(seed, f"disturbance/{index}/{kind}/{name}")


def load(name_or_path: str, *, spec: PlantSpec | None = None) -> Profile:
    """Return a shipped profile, or read one from a file; raises `UnknownName` or `SimulationFileError`.

    With a `spec`, the devices and lines that a file names must exist in it; shipped profiles are not checked.
    """
    if name_or_path in NAMES:
        return _read(FOLDER / f"{name_or_path}.toml")
    path = Path(name_or_path)
    if not path.exists():
        raise UnknownName("profile or file", name_or_path, NAMES)
    profile = _read(path)
    if spec is not None and (faults := list(_unknown_targets(profile, spec))):
        raise SimulationFileError(path, faults)
    return profile


def _read(path: Path) -> Profile:
    return validate(path, {"name": path.stem, **read_toml(path)}, Profile)


def _unknown_targets(profile: Profile, spec: PlantSpec) -> Iterator[str]:
    """Yield a fault for each line and device pattern that matches nothing: the disturbance would never occur."""
    device_ids = [name for _, name in spec.devices()]
    line_ids = [line.id for line in spec.lines]
    for index, disturbance in enumerate(profile.disturbances):
        place = f"disturbances.{index}.{disturbance.kind}"
        for pattern in disturbance.devices:
            if not any(fnmatchcase(name, pattern) for name in device_ids):
                yield f"{place}.devices: unknown device: {pattern}{suggest(pattern, device_ids) or LISTED}"
        for line in disturbance.lines if isinstance(disturbance, SharedGateway) else ():
            if line not in line_ids:
                yield f"{place}.lines: unknown line: {line}{suggest(line, line_ids) or LISTED}"
