"""Quality alerts of one line: fixed limits on measurements, and the share of defects in inspections.

Source: domain.md, «Quality». An alert is raised once and cleared once; one is active per equipment, parameter, rule and
side. `rules.py` decides which value violates which rule; a new rule is a new function there.
"""

from typing import Final

from msgspec import Struct, field

from bridge.domain.bounded_dict import drop_oldest
from bridge.domain.emitter import Emitter
from bridge.domain.event_data import CallPriority, Person, Quality, QualityRule
from bridge.domain.events import EventType, Priority, Standing
from bridge.domain.line.quality.rules import InspectionWindow, RuleVerdict, Side, judge_limit, judge_window
from bridge.domain.place import LINE_LEVEL, Place
from bridge.domain.plant import LineConfig, MeasurementLimit
from bridge.domain.reports import (
    APPLIED,
    Disposition,
    InspectionReport,
    MeasurementReport,
    Moment,
    QualityReport,
    quarantined,
    rejected,
    suppressed,
)

MAX_PARAMETERS: Final = 20  # windows of one equipment: stops a device that invents parameter names
MAX_CLEARED_ALERTS: Final = 200  # ids still answered with `already_cleared`; bounds the checkpoint of an old line
DEFECTS_PARAMETER: Final = "defects"
"""The parameter of an inspection that names none."""
DEFECT_SEVERITY: Final[CallPriority] = "high"


class ActiveAlert(Struct, kw_only=True):
    """An active alert, with the last value judged."""

    alert_id: str
    equipment: str | None
    parameter: str
    rule: QualityRule
    value: float
    unit: str
    severity: CallPriority
    lower: float | None = None
    upper: float | None = None
    defect_count: int | None = None
    inspected_count: int | None = None


class QualityState(Struct):
    """Checkpointed. `active` by `{equipment}/{parameter}/{rule}/{side}`, `windows` by equipment, then parameter.

    `cleared`: the equipment levels by alert id; None: cleared by an earlier version.
    """

    next_number: int = 1
    active: dict[str, ActiveAlert] = field(default_factory=dict)
    windows: dict[str, dict[str, InspectionWindow]] = field(default_factory=dict)
    cleared: dict[str, str | None] = field(default_factory=dict)


class QualityChecks:
    """Judges the measurements and inspections of a line."""

    def __init__(self, state: QualityState, *, place: Place, spec: LineConfig, emitter: Emitter) -> None:
        self._state = state
        self._line = place.line
        self._spec = spec
        self._emitter = emitter

    def apply(
        self, body: MeasurementReport | InspectionReport | QualityReport, *, equipment: str | None, moment: Moment
    ) -> Disposition:
        """Judge a measurement or an inspection, or clear an alert for a user; return the disposition."""
        match body:
            case MeasurementReport():
                return self._measure(body, equipment, moment)
            case InspectionReport():
                return self._inspect(body, equipment, moment)
            case QualityReport():
                return self._apply_clear(body.alert_id, moment)

    def reset_windows(self) -> None:
        """Restart all windows; alerts stay until later reports clear them."""
        self._state.windows.clear()

    def _measure(self, body: MeasurementReport, equipment: str | None, moment: Moment) -> Disposition:
        limit = self._limit(body.parameter, equipment)
        if limit is None:
            return suppressed("no_limit")
        if limit.unit != body.unit:
            return suppressed("unit_mismatch")
        verdicts = {side: judge_limit(body.value, limit, side) for side in Side}
        for side, verdict in sorted(
            verdicts.items(), key=lambda entry: entry[1] is RuleVerdict.VIOLATED
        ):  # clear, then raise
            candidate = ActiveAlert(
                alert_id="",
                equipment=equipment,
                parameter=body.parameter,
                rule="limit",
                value=body.value,
                unit=body.unit,
                severity=limit.severity,
                lower=limit.lower,
                upper=limit.upper,
            )
            self._apply_verdict(candidate, side, verdict, moment)
        return APPLIED

    def _inspect(self, body: InspectionReport, equipment: str | None, moment: Moment) -> Disposition:
        if body.defects > body.inspected:
            return quarantined("more_defects_than_inspected")
        if body.inspected == 0:
            return suppressed("nothing_inspected")
        parameter = body.parameter or DEFECTS_PARAMETER
        windows = self._state.windows.setdefault(equipment or LINE_LEVEL, {})
        if parameter not in windows and len(windows) >= MAX_PARAMETERS:
            return suppressed("too_many_parameters")
        window = windows.setdefault(parameter, InspectionWindow())
        window.add(inspected=body.inspected, defects=body.defects)
        verdict = judge_window(
            window, rate_limit=self._spec.defect_rate_limit, count_limit=self._spec.defect_count_limit
        )
        candidate = ActiveAlert(
            alert_id="",
            equipment=equipment,
            parameter=parameter,
            rule="defect_rate",
            value=window.defects / window.inspected,
            unit="ratio",
            severity=DEFECT_SEVERITY,
            upper=self._spec.defect_rate_limit,
            defect_count=window.defects,
            inspected_count=window.inspected,
        )
        self._apply_verdict(candidate, Side.UPPER, verdict, moment)
        return APPLIED

    def _apply_clear(self, alert_id: str, moment: Moment) -> Disposition:
        found = (entry for entry in self._state.active.items() if entry[1].alert_id == alert_id)
        key, alert = next(found, ("", None))
        if alert is None or not moment.is_granted_at(alert.equipment or LINE_LEVEL):
            cleared = self._state.cleared
            is_known = alert_id in cleared and moment.is_granted_at(cleared[alert_id])
            return suppressed("already_cleared") if is_known else rejected("unknown_alert")
        if alert.rule == "defect_rate":  # restart the window, or the next good piece would raise the alert again
            self._state.windows.get(alert.equipment or LINE_LEVEL, {}).pop(alert.parameter, None)
        self._clear(key, alert, moment, by=moment.person)
        return APPLIED

    def _limit(self, parameter: str, equipment: str | None) -> MeasurementLimit | None:
        """Return the limit of this equipment, else the line's limit for any."""
        limits = [limit for limit in self._spec.limits if limit.parameter == parameter]
        own = (limit for limit in limits if limit.equipment is not None and limit.equipment == equipment)
        return next(own, next((limit for limit in limits if limit.equipment is None), None))

    def _apply_verdict(self, candidate: ActiveAlert, side: Side, verdict: RuleVerdict, moment: Moment) -> None:
        """Raise a violated rule that is not active, clear an active one that is satisfied; else change nothing."""
        key = f"{candidate.equipment or LINE_LEVEL}/{candidate.parameter}/{candidate.rule}/{side}"
        active = self._state.active.get(key)
        if verdict is RuleVerdict.VIOLATED and active is None:
            candidate.alert_id = f"{self._line}.alert.{self._state.next_number}"
            self._state.next_number += 1
            self._state.active[key] = candidate
            self._emit(candidate, moment, standing=Standing.CURRENT)
        elif verdict is RuleVerdict.SATISFIED and active is not None:
            active.value = candidate.value
            active.defect_count, active.inspected_count = candidate.defect_count, candidate.inspected_count
            self._clear(key, active, moment)

    def _clear(self, key: str, alert: ActiveAlert, moment: Moment, *, by: Person | None = None) -> None:
        del self._state.active[key]
        cleared = self._state.cleared
        cleared[alert.alert_id] = alert.equipment or LINE_LEVEL
        drop_oldest(cleared, limit=MAX_CLEARED_ALERTS)
        self._emit(alert, moment, standing=Standing.CLOSED, by=by)

    def _emit(self, alert: ActiveAlert, moment: Moment, *, standing: Standing, by: Person | None = None) -> None:
        data = Quality(
            alert_id=alert.alert_id,
            parameter=alert.parameter,
            rule=alert.rule,
            value=alert.value,
            unit=alert.unit,
            severity=alert.severity,
            status="cleared" if standing is Standing.CLOSED else "active",
            lower=alert.lower,
            upper=alert.upper,
            defect_count=alert.defect_count,
            inspected_count=alert.inspected_count,
            defect_rate=alert.value if alert.rule == "defect_rate" else None,
            cleared_by=by,
        )
        self._emitter.emit(
            EventType.QUALITY_ALERT,
            data,
            moment=moment,
            equipment=alert.equipment,
            subject=alert.alert_id,
            priority=Priority(alert.severity),
            standing=standing,
        )
