"""An Andon station: what its buttons and switches send for what people do. Source: docs/devices.md."""

from device_sim.messages import ReportContent
from device_sim.plant_file import AndonType, StationSpec


class Station:
    """Turns what people do into reports: actions, a button that goes up and down, or a cord that stays pulled."""

    def __init__(self, spec: StationSpec) -> None:
        self.spec = spec
        self.active_inputs: set[AndonType] = set()

    def press(self, andon_type: AndonType, operator: str, description: str) -> list[ReportContent]:
        """Return the reports of a press: again while the call is open, it repeats."""
        match self.spec.form:
            case "action":
                return [_action_report("raise", andon_type, operator, description=description)]
            case "momentary" | "latching":
                self.active_inputs.add(andon_type)
                return [_level(andon_type, level=True)]

    def action_reports(self, action: str, andon_type: AndonType, operator: str) -> list[ReportContent]:
        """Return the report of acknowledge, arrive, resolve or cancel: entered, whatever the station's form."""
        return [_action_report(action, andon_type, operator)]

    def release(self, andon_type: AndonType) -> list[ReportContent]:
        """Return the reports of letting a button go, or of putting a pulled cord back."""
        if andon_type not in self.active_inputs:
            return []
        self.active_inputs.discard(andon_type)
        return [_level(andon_type, level=False)]

    def current_reports(self) -> list[ReportContent]:
        """Return the level of every input, as a station with inputs says after its birth: an edge needs a before."""
        if self.spec.form == "action":
            return []
        return [_level(each, level=each in self.active_inputs) for each in self.spec.andon_types]


def _action_report(action: str, andon_type: AndonType, operator: str, **more: object) -> ReportContent:
    return ("andon", {"action": action, "andon_type": andon_type, "operator": operator, **more})


def _level(andon_type: AndonType, *, level: bool) -> ReportContent:
    return ("andon", {"input": level, "andon_type": andon_type})
