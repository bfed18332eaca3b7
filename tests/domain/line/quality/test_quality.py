"""Quality alerts: fixed limits with hysteresis, the share of defects in the last 50, raised once and cleared once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.event_data import Person, Quality
from bridge.domain.events import Priority, Standing
from bridge.domain.line.quality.alerts import MAX_CLEARED_ALERTS, MAX_PARAMETERS
from bridge.domain.line.quality.rules import InspectionWindow, RuleVerdict, Side, judge_limit
from bridge.domain.plant import MeasurementLimit
from bridge.domain.reports import (
    APPLIED,
    quarantined,
    rejected,
    suppressed,
)
from tests.domain.line.quality.quality_line import PLANT, QualityLine
from tests.support.one_line_plant import from_checkpoint


def test_an_alert_is_raised_once_and_cleared_once() -> None:
    line = QualityLine()
    alerts = []
    for value in (500, 510, 511, 515, 509, 508.5, 508, 500):
        assert line.measure(value) == APPLIED
        alerts += line.new_alerts()
        line.restore()
    assert alerts == [("L1.alert.1", "active", 511), ("L1.alert.1", "cleared", 508)]


def test_an_alert_reports_limit_value_and_severity_at_its_equipment() -> None:
    line = QualityLine()
    line.measure(511)
    line.measure(512)
    line.measure(508)
    raised, cleared = line.events()
    assert (raised.subject, raised.place.equipment, raised.priority) == ("L1.alert.1", "BAG1", Priority.MEDIUM)
    assert raised.data == Quality(
        alert_id="L1.alert.1",
        parameter="weight",
        rule="limit",
        value=511,
        unit="g",
        severity="medium",
        status="active",
        lower=490,
        upper=510,
    )
    assert (cleared.subject, cleared.revision, cleared.standing) == ("L1.alert.1", 2, Standing.CLOSED)
    assert isinstance(cleared.data, Quality)
    assert (cleared.data.status, cleared.data.value, cleared.data.cleared_by) == ("cleared", 508, None)


def test_one_measurement_can_clear_one_side_and_raise_the_other() -> None:
    line = QualityLine()
    for value in (480, 520):
        line.measure(value)
    assert line.new_alerts() == [
        ("L1.alert.1", "active", 480),
        ("L1.alert.1", "cleared", 520),
        ("L1.alert.2", "active", 520),
    ]
    line.measure(480)
    assert line.new_alerts() == [("L1.alert.2", "cleared", 480), ("L1.alert.3", "active", 480)]


@given(st.lists(st.integers(480, 520)))
def test_alerts_agree_with_a_reading_of_the_whole_history(values: list[int]) -> None:
    """A side is active where, looking back, a value beyond the limit comes before one back inside its hysteresis."""
    line = QualityLine()
    statuses: list[str] = []
    for number, value in enumerate(values):
        line.measure(value)
        for side, broken, met in (("upper", range(511, 521), range(509)), ("lower", range(490), range(492, 521))):
            decisive = [value for value in values[: number + 1] if value in broken or value in met]
            expected = bool(decisive) and decisive[-1] in broken
            assert (f"BAG1/weight/limit/{side}" in line.state.active) == expected
        statuses += [status for _, status, _ in line.new_alerts()]
        line.restore()
    assert statuses.count("active") - statuses.count("cleared") == len(line.state.active)


@pytest.mark.parametrize(
    ("value", "lower", "upper"),
    [
        (490.0, RuleVerdict.IN_HYSTERESIS, RuleVerdict.SATISFIED),
        (489.9, RuleVerdict.VIOLATED, RuleVerdict.SATISFIED),
        (492.0, RuleVerdict.SATISFIED, RuleVerdict.SATISFIED),
        (508.0, RuleVerdict.SATISFIED, RuleVerdict.SATISFIED),
        (508.1, RuleVerdict.SATISFIED, RuleVerdict.IN_HYSTERESIS),
        (510.0, RuleVerdict.SATISFIED, RuleVerdict.IN_HYSTERESIS),
        (510.1, RuleVerdict.SATISFIED, RuleVerdict.VIOLATED),
    ],
)
def test_a_limit_is_broken_beyond_it_and_kept_inside_its_hysteresis(
    value: float, lower: RuleVerdict, upper: RuleVerdict
) -> None:
    limit = PLANT.lines[0].limits[0]
    assert judge_limit(value, limit, Side.LOWER) is lower
    assert judge_limit(value, limit, Side.UPPER) is upper


def test_without_hysteresis_the_limit_itself_is_kept() -> None:
    limit = MeasurementLimit(parameter="weight", unit="g", upper=510)
    assert judge_limit(510, limit, Side.UPPER) is RuleVerdict.SATISFIED
    assert judge_limit(-1e300, limit, Side.LOWER) is RuleVerdict.SATISFIED


def test_a_limit_of_the_equipment_overrides_the_lines() -> None:
    line = QualityLine()
    line.measure(550, equipment="BAG2")
    line.measure(480, equipment="BAG2")
    assert line.new_alerts() == []
    line.measure(601, equipment="BAG2")
    assert [event.priority for event in line.events()] == [Priority.CRITICAL]


def test_equipment_is_judged_apart() -> None:
    line = QualityLine()
    line.measure(511, equipment="BAG1")
    line.measure(511, equipment=None)
    assert [alert for alert, _, _ in line.new_alerts()] == ["L1.alert.1", "L1.alert.2"]


def test_an_unusable_measurement_is_suppressed_with_its_reason() -> None:
    line = QualityLine()
    assert line.measure(5, parameter="length") == suppressed("no_limit")
    assert line.measure(600, unit="kg") == suppressed("unit_mismatch")
    assert line.inspect(0, 0) == suppressed("nothing_inspected")
    assert line.inspect(3, 4) == quarantined("more_defects_than_inspected")
    assert line.new_alerts() == []


def test_five_defects_alert_before_the_window_is_full() -> None:
    line = QualityLine()
    line.inspect(6, 4)
    assert line.new_alerts() == []
    line.inspect(1, 1)
    (event,) = line.events()
    assert isinstance(event.data, Quality)
    assert (event.data.rule, event.data.parameter, event.priority) == ("defect_rate", "defects", Priority.HIGH)
    assert (event.data.defect_count, event.data.inspected_count) == (5, 7)
    assert event.data.defect_rate == event.data.value == 5 / 7


def test_five_per_cent_alert_once_the_window_is_full() -> None:
    line = QualityLine()
    line.inspect(3, 3)
    line.inspect(46, 0)
    assert line.new_alerts() == []
    line.inspect(1, 0)
    assert line.new_alerts() == [("L1.alert.1", "active", 3 / 50)]


def test_a_defect_alert_clears_at_half_the_rate_and_does_not_flutter() -> None:
    line = QualityLine()
    line.inspect(3, 3)
    line.inspect(47, 0)
    line.inspect(1, 0)  # one of the three defects leaves: 4 %
    assert [status for _, status, _ in line.new_alerts()] == ["active"]
    line.inspect(1, 0)  # another: 2 %
    assert line.new_alerts() == [("L1.alert.1", "cleared", 1 / 50)]


def test_a_good_large_batch_does_not_alert_by_its_size() -> None:
    line = QualityLine()
    line.inspect(1_000, 10)  # 1 %
    assert line.new_alerts() == []
    line.inspect(1_000_000, 60_000)  # 6 %
    assert line.new_alerts() == [("L1.alert.1", "active", 3 / 50)]


@given(st.lists(st.integers(0, 120).flatmap(lambda count: st.tuples(st.just(count), st.integers(0, count)))))
def test_the_window_is_the_last_50_pieces(batches: list[tuple[int, int]]) -> None:
    """The oracle keeps every piece ever inspected, a batch's defects evenly spread."""
    window, pieces = InspectionWindow(), list[int]()
    for inspected, defects in batches:
        window.add(inspected=inspected, defects=defects)
        batch = [(number * defects) // inspected for number in range(inspected + 1)] if inspected else [0]
        pieces += [batch[number + 1] - batch[number] for number in range(inspected)]
        last = pieces[-50:]
        assert (window.inspected, window.defects) == (len(last), sum(last))
        window = from_checkpoint(window)
    assert sum(pieces) == sum(defects for _, defects in batches)


def test_parameters_and_equipment_have_windows_of_their_own() -> None:
    line = QualityLine()
    for parameter, equipment in (("seal", "BAG1"), ("print", "BAG1"), ("seal", "BAG2")):
        line.inspect(4, 4, parameter=parameter, equipment=equipment)
    assert line.new_alerts() == []


def test_a_new_product_starts_windows_again_and_leaves_alerts_standing() -> None:
    line = QualityLine()
    line.inspect(5, 5)
    line.new_alerts()
    line.checks.reset_windows()
    line.inspect(49, 0)
    assert line.new_alerts() == []
    line.inspect(1, 0)
    assert line.new_alerts() == [("L1.alert.1", "cleared", 0.0)]


def test_a_user_clears_an_alert_once_and_is_named() -> None:
    line = QualityLine()
    line.measure(511)
    line.events()
    assert line.clear("L1.alert.1") == APPLIED
    (event,) = line.events()
    assert event.standing is Standing.CLOSED
    assert isinstance(event.data, Quality)
    assert (event.data.status, event.data.cleared_by) == ("cleared", Person("ines", "Ines"))
    assert line.clear("L1.alert.1") == suppressed("already_cleared")
    assert line.clear("L1.alert.2") == rejected("unknown_alert")
    assert line.events() == ()


def test_a_value_still_beyond_the_limit_after_a_user_cleared_is_a_new_alert() -> None:
    line = QualityLine()
    line.measure(511)
    line.clear("L1.alert.1")
    line.new_alerts()
    line.measure(511)
    assert line.new_alerts() == [("L1.alert.2", "active", 511)]


def test_defects_a_user_dealt_with_are_not_counted_again() -> None:
    line = QualityLine()
    line.inspect(5, 5)
    line.clear("L1.alert.1")
    line.new_alerts()
    line.inspect(4, 4)
    assert line.new_alerts() == []


def test_windows_and_cleared_alerts_are_bounded() -> None:
    line = QualityLine()
    for number in range(MAX_PARAMETERS):
        assert line.inspect(1, 0, parameter=f"p{number}") == APPLIED
    assert line.inspect(1, 0, parameter="over") == suppressed("too_many_parameters")
    assert line.inspect(1, 0, parameter="p0") == APPLIED
    for _ in range(MAX_CLEARED_ALERTS + 1):
        line.measure(511)
        line.measure(500)
    assert len(line.state.cleared) == MAX_CLEARED_ALERTS
    assert line.clear("L1.alert.1") == rejected("unknown_alert")


def test_an_alert_is_cleared_where_that_is_granted_and_unknown_elsewhere() -> None:
    line = QualityLine()
    line.measure(511)
    assert line.clear("L1.alert.1", granted_at=("BAG2", "_")) == rejected("unknown_alert")
    assert line.clear("L1.alert.1", granted_at=("BAG1",)) == APPLIED
    line.restore()
    assert line.clear("L1.alert.1", granted_at=("BAG2", "_")) == rejected("unknown_alert")
    for granted_at in (("BAG1",), ("+",)):
        assert line.clear("L1.alert.1", granted_at=granted_at) == suppressed("already_cleared")


def test_an_alert_that_an_earlier_version_cleared_is_known_only_to_who_may_clear_everywhere() -> None:
    line = QualityLine()
    line.state.cleared["L1.alert.1"] = None
    line.restore()
    assert line.clear("L1.alert.1", granted_at=("BAG1", "BAG2", "_")) == rejected("unknown_alert")
    assert line.clear("L1.alert.1") == suppressed("already_cleared")
