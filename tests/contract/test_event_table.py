"""DOMAIN's event table: what every event of a type has, and what it may leave out (`?` there)."""

import json

import pytest
from msgspec.structs import fields

from bridge.core.events import DATA_OF, Event, EventType, Place, Priority, encode
from tests.contract.test_schemas import DATA

JOB = (
    "job_id product status target_quantity",
    (
        "assigned_to assigned_by accepted_at started_at completed_at cancelled_at actual_quantity good_quantity"
        " cancellation_reason"
    ),
)
CHANGEOVER = (
    "changeover_id to_product started_at signalled_at",
    ("from_product completed_at duration_seconds target_seconds startup_rejects outcome"),
)
TABLE: dict[EventType, tuple[str, str]] = {
    EventType.LINE_STATUS_UPDATE: (
        "scope status previous_status since scheduled",
        "cause speed target_speed speed_unit reason_code product job_id equipment",
    ),
    EventType.PRODUCTION_UPDATE: (
        "total_count good_count reject_count rate_per_minute hourly production_day window_start",
        "target_quantity progress planned_count_now difference planned_from target_rate job_id product shift_id",
    ),
    EventType.OEE_UPDATE: (
        (
            "window window_start window_end closed oee availability performance quality planned_busy_seconds"
            " actual_production_seconds ideal_cycle_seconds total_count good_count unknown_seconds flags"
        ),
        "unknown_count null_reason job_id shift_id",
    ),
    EventType.DOWNTIME_EVENT: (
        "downtime_id status started_at equipment_code cause category loss micro_stop faults",
        "ended_at duration_seconds cause_equipment reason_code reason_description notes confirmed_by",
    ),
    EventType.ANDON_EVENT: (
        "call_id andon_type priority status raised_at raised_by escalation_level repeat auto_generated",
        (
            "station_id description acknowledged_at acknowledged_by arrived_at resolved_at resolved_by response_seconds"
            " resolution_code resolution_notes downtime_id called_again_at"
        ),
    ),
    EventType.ESCALATION_UPDATE: (
        "escalation_id call_id andon_type level previous_level status cause recipients",
        "deadline minutes_remaining paused",
    ),
    EventType.JOB_ASSIGNED: JOB,
    EventType.JOB_STARTED: JOB,
    EventType.JOB_COMPLETED: JOB,
    EventType.JOB_CANCELLED: JOB,
    EventType.QUALITY_ALERT: (
        "alert_id parameter rule value unit severity status",
        "lower upper center sigma points defect_count inspected_count defect_rate cleared_by",
    ),
    EventType.CHANGEOVER_STARTED: CHANGEOVER,
    EventType.CHANGEOVER_COMPLETED: CHANGEOVER,
}


@pytest.mark.parametrize("event_type", EventType)
def test_an_event_has_the_fields_of_the_table_and_no_others(event_type: EventType) -> None:
    always, sometimes = (set(names.split()) for names in TABLE[event_type])
    shape = DATA_OF[event_type]
    assert set(shape.__struct_fields__) == always | sometimes
    assert {field.name for field in fields(shape) if field.required} == always


def test_the_quality_of_data_always_names_the_clock_and_whether_it_is_an_estimate() -> None:
    """PROTOCOL: `data_quality`: {clock, estimated, …}, also where there is nothing to doubt."""
    event = Event(
        type=EventType.JOB_ASSIGNED,
        place=Place("plant1", "packing", "L1"),
        subject="J1",
        priority=Priority.MEDIUM,
        revision=1,
        timestamp=1,
        data=DATA[EventType.JOB_ASSIGNED],
    )
    envelope = json.loads(encode(event, stream="main", epoch="e1", offset=1))
    assert envelope["data_quality"] == {"clock": "receive", "estimated": False}
