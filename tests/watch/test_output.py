"""The lines of `floor watch`: nothing stale looks live (P5), and an outage is one line."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from bridge.watch.output import line_printer

RECEIVED = {"clock": "receive", "estimated": False}


def event(quality: dict[str, Any] = RECEIVED, **data: Any) -> dict[str, Any]:
    return {
        "type": "line_status_update", "offset": 7, "priority": "medium", "timestamp": "2026-01-05T06:00:01.500Z",
        "area": "packing", "line_id": "L1", "equipment_code": "Bagger-1", "subject": "_", "data": data,
        "data_quality": quality,
    }  # fmt: skip


def printed(*frames: dict[str, Any]) -> list[str]:
    out = StringIO()
    show = line_printer(Console(file=out, width=80))
    for frame in frames:
        show(frame)
    return out.getvalue().splitlines()


def test_an_event_of_a_healthy_device_is_printed_without_flags_and_with_utc() -> None:
    (line,) = printed(event(status="running"))
    assert line.split() == ["06:00:01Z", "line_status_update", "packing/L1/Bagger-1", "status=running"]


@pytest.mark.parametrize(
    ("quality", "expected"),
    [
        ({"ineffective": True, "stale": True}, "STALE ineffective"),
        ({"estimated": True, "stale": True}, "STALE estimated"),
        ({"pieces_held": 20}, "pieces_held=20"),
        ({"pieces_released": 3, "pieces_refused": 2}, "pieces_released=3 pieces_refused=2"),
        ({"gap": 3, "unplaced": True}, "gap=3 unplaced"),
        ({"historical": True, "clock": "device"}, "clock=device historical"),
        ({"clock": "skewed"}, "clock=skewed"),
        ({"of_a_later_version": 4}, "of_a_later_version=4"),
        ({"gap": None, "historical": False}, ""),
        ({"gap": 1, "pieces_held": 0}, "gap=1 pieces_held=0"),
    ],
)
def test_all_that_limits_the_trust_in_an_event_follows_it(quality: dict[str, Any], expected: str) -> None:
    (line,) = printed(event({**RECEIVED, **quality}, status="running"))
    assert line.partition("status=running")[2].strip() == expected


def test_numbers_have_three_digits_and_counts_all_of_theirs() -> None:
    (line,) = printed(event(oee=0.06846899894900087, unknown_seconds=20.0, unknown_count=40, good_count=1234567))
    assert "oee=0.068 unknown_seconds=20 unknown_count=40 good_count=1234567" in line


def test_an_outage_is_one_line_however_often_a_connection_is_tried() -> None:
    lost = {"type": "link_lost", "reason": "the server is silent"}
    refused = {"type": "link_lost", "reason": "Connect call failed"}
    assert printed({"type": "auth_ok"}, lost, refused, refused, {"type": "auth_ok"}, refused) == [
        "connection lost; reconnecting (the server is silent)",
        "connection lost; reconnecting (Connect call failed)",
    ]
    assert printed(refused, refused) == ["no connection; reconnecting (Connect call failed)"]


def test_the_remedy_of_an_outage_is_logged_once() -> None:
    advised = {"type": "link_lost", "reason": "HTTP 403", "advice": "name a front by --url"}
    refused = {"type": "link_lost", "reason": "Connect call failed"}
    assert printed(refused, advised, advised)[1:] == ["name a front by --url"]
    assert printed(advised, refused, advised) == ["no connection; reconnecting (name a front by --url)"]


def test_a_conflated_frame_is_printed_as_a_sentence() -> None:
    conflated = {"type": "conflated", "counts": {"line_status_update": 15, "production_update": 17}}
    assert printed(conflated) == ["(superseded and not sent: 15 line_status_update, 17 production_update)"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, "error no such [x] (INVALID_MESSAGE)"),
        ({"id": "andon:L1", "detail": None}, "error andon:L1: no such [x] (INVALID_MESSAGE)"),
        ({"id": None, "detail": {"limit": 100}}, "error no such [x] (INVALID_MESSAGE; limit=100)"),
    ],
)
def test_an_error_is_a_sentence(more: dict[str, Any], message: str) -> None:
    assert printed({"type": "error", "code": "INVALID_MESSAGE", "message": "no such [x]", **more}) == [message]


def test_names_of_devices_are_no_markup() -> None:
    (line,) = printed(event({**RECEIVED, "[red]x": 1}, product="[bold]P[/]"))
    assert "product=[bold]P[/]" in line
    assert "[red]x=1" in line
