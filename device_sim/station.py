"""An Andon station: what its buttons and switches send for what people do. Source: docs/devices.md."""

from device_sim.messages import Report
from device_sim.plant_file import AndonType, StationSpec


class Station:
    """Turns what people do into reports: actions, a button that goes up and down, or a cord that stays pulled."""

    def __init__(self, spec: StationSpec) -> None:
        self.spec = spec
        self.pulled: set[AndonType] = set()

    def press(self, andon_type: AndonType, operator: str, description: str) -> list[Report]:
        """Return the reports of a press: again while the call is open, it repeats."""
        match self.spec.form:
            case "action":
                return [_deed("raise", andon_type, operator, description=description)]
            case "momentary" | "latching":
                self.pulled.add(andon_type)
                return [_level(andon_type, level=True)]

    def deed(self, action: str, andon_type: AndonType, operator: str) -> list[Report]:
        """Return the report of acknowledge, arrive, resolve or cancel: entered, whatever the station's form."""
        return [_deed(action, andon_type, operator)]

    def release(self, andon_type: AndonType) -> list[Report]:
        """Return the reports of letting a button go, or of putting a pulled cord back."""
        if andon_type not in self.pulled:
            return []
        self.pulled.discard(andon_type)
        return [_level(andon_type, level=False)]

    def standing(self) -> list[Report]:
        """Return the level of every input, as a station with inputs says after its birth: an edge needs a before."""
        if self.spec.form == "action":
            return []
        return [_level(each, level=each in self.pulled) for each in self.spec.andon_types]


def _deed(action: str, andon_type: AndonType, operator: str, **more: object) -> Report:
    return ("andon", {"action": action, "andon_type": andon_type, "operator": operator, **more})


def _level(andon_type: AndonType, *, level: bool) -> Report:
    return ("andon", {"input": level, "andon_type": andon_type})
