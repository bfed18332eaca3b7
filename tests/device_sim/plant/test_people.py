"""People press for a trouble they notice, come, and resolve when it is over; a station sends what its form has."""

from typing import Any

from device_sim.plant.people import CallCause, Crew
from device_sim.plant.station import Station
from device_sim.plant_file import LineSpec, PeopleSpec, StationSpec
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import SECOND
from tests.device_sim.sample_plants import machine_spec

TROUBLE = CallCause("equipment", "M", "M stopped")


def crew(*stations: StationSpec, **people: Any) -> Crew:
    behaviour = {"forget_ratio": 0.0, "cancel_ratio": 0.0, "mean_minutes_between_wishes": 80_000.0}
    spec = LineSpec(
        id="L",
        area="A",
        products=("p",),
        machines=(machine_spec(),),
        stations=stations or (StationSpec(id="S"),),
        people=PeopleSpec.model_validate(behaviour | people),
    )
    return Crew(spec, SeededRandom(1, "crew"), 0)


def follow(people: Crew, seconds: int, trouble_seconds: int, start: int = 0) -> list[tuple[int, str, Any]]:
    """Return (second, station, body) of what is reported while a problem lasts and after it."""
    return [
        (second, station, body)
        for second in range(start + 1, start + seconds + 1)
        for station, (_, body) in people.tick(second * SECOND, [TROUBLE] if second <= trouble_seconds else [])
    ]


def test_a_call_is_raised_acknowledged_reached_and_resolved_after_the_trouble() -> None:
    actions = follow(crew(), 3_000, trouble_seconds=1_000)
    assert [body["action"] for _, station, body in actions if station == "S"] == [
        "raise", "acknowledge", "arrive", "resolve",
    ]  # fmt: skip
    assert actions[-1][0] > 1_000


def test_after_a_long_stop_its_own_call_is_ended_at_the_machine() -> None:
    """The bridge calls by itself for a stop of five minutes; who repaired the machine ends that call at its panel."""
    second, device, body = follow(crew(), 3_000, trouble_seconds=1_000)[-1]
    assert (second > 1_000, device, body["action"], body["andon_type"]) == (True, "M", "resolve", "equipment")
    short = follow(crew(acknowledge_seconds=(1.0, 2.0)), 250, trouble_seconds=60)
    assert {device for _, device, _ in short} == {"S"}


def test_a_trouble_that_passes_unnoticed_is_not_called_for() -> None:
    assert follow(crew(notice_seconds=80_000.0), 600, trouble_seconds=5) == []


def test_a_mistaken_press_is_cancelled() -> None:
    actions = follow(crew(cancel_ratio=1.0, acknowledge_seconds=(100.0, 200.0)), 600, trouble_seconds=500)
    assert [body["action"] for _, _, body in actions] == ["raise", "cancel"]


def test_a_forgotten_call_waits_past_its_deadline() -> None:
    actions = follow(crew(forget_ratio=1.0), 3_000, trouble_seconds=100)
    times = {body["action"]: second for second, _, body in actions}
    assert times["acknowledge"] - times["raise"] >= 420


def test_a_button_goes_up_again_and_a_cord_only_after_the_call() -> None:
    actions = follow(crew(StationSpec(id="S", form="momentary")), 3_000, trouble_seconds=500)
    inputs = [(second, body["input"]) for second, _, body in actions if "input" in body]
    assert [level for _, level in inputs] == [True, False]
    assert inputs[1][0] == inputs[0][0] + 1
    actions = follow(crew(StationSpec(id="S", form="latching")), 3_000, trouble_seconds=500)
    assert [body.get("action", body.get("input")) for _, station, body in actions if station == "S"] == [
        True, "acknowledge", "arrive", "resolve", False,
    ]  # fmt: skip


def test_people_press_at_the_station_near_the_machine_that_can_call_it() -> None:
    far = StationSpec(id="FAR")
    near = StationSpec(id="NEAR", near=("M",))
    deaf = StationSpec(id="DEAF", near=("M",), andon_types=("material",))
    actions = follow(crew(far, deaf, near), 600, trouble_seconds=500)
    assert {station for _, station, _ in actions} - {"M"} == {"NEAR"}


def test_after_its_birth_a_station_reports_each_of_its_inputs() -> None:
    station = Station(StationSpec(id="S", form="latching", andon_types=("stop", "quality")))
    station.press("quality", "ann", "scratches")
    assert [body for _, body in station.current_reports()] == [
        {"input": False, "andon_type": "stop"},
        {"input": True, "andon_type": "quality"},
    ]
    assert Station(StationSpec(id="S")).current_reports() == []
