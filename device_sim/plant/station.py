"""An Andon station: the reports of its buttons and switches. Source: docs/devices.md."""

from device_sim.plant_file import AndonType, StationSpec
from device_sim.reports import ReportContent


class Station:
    """Turns people's actions into reports, by its form: actions, a momentary button, or a cord that stays pulled."""

    def __init__(self, spec: StationSpec) -> None:
        self.spec = spec
        self.active_inputs: set[AndonType] = set()

    def press(self, andon_type: AndonType, operator: str, description: str) -> list[ReportContent]:
        """Return the reports of a press; a second one while the call is open repeats the call."""
        match self.spec.form:
            case "action":
                return [_action_report("raise", andon_type, operator, description=description)]
            case "momentary" | "latching":
                self.active_inputs.add(andon_type)
                return [_level(andon_type, level=True)]

    def action_reports(self, action: str, andon_type: AndonType, operator: str) -> list[ReportContent]:
        """Return the report of acknowledge, arrive, resolve or cancel; every form of station reports actions."""
        return [_action_report(action, andon_type, operator)]

    def release(self, andon_type: AndonType) -> list[ReportContent]:
        """Return the reports of releasing a button, or of resetting a pulled cord."""
        if andon_type not in self.active_inputs:
            return []
        self.active_inputs.discard(andon_type)
        return [_level(andon_type, level=False)]

    def current_reports(self) -> list[ReportContent]:
        """Return the level of every input, for sending after the birth: an edge needs a level before it."""
        if self.spec.form == "action":
            return []
        return [_level(andon_type, level=andon_type in self.active_inputs) for andon_type in self.spec.andon_types]


def _action_report(action: str, andon_type: AndonType, operator: str, **more: object) -> ReportContent:
    return ("andon", {"action": action, "andon_type": andon_type, "operator": operator, **more})


def _level(andon_type: AndonType, *, level: bool) -> ReportContent:
    return ("andon", {"input": level, "andon_type": andon_type})
