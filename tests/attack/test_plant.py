"""The plant beside an attack: each alarm comes to each of its dashboards once, and honest visitors are served."""

from dataclasses import replace
from pathlib import Path

from tests.attack.plant import QUICK, WHOLE, running_plant
from tests.attack.shape import Attack, Shape

FORM = replace(QUICK, lines=20, baseline_seconds=1, attack_seconds=1)
GUEST = Attack(
    connections=2,
    records=[(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", b"")],
    answer=b"",
)


async def test_what_a_plant_feels_is_measured(tmp_path: Path) -> None:
    """With HTTPS, as that is the plain one and relays."""
    programs = tmp_path / "programs"
    programs.mkdir()
    shape = Shape(number=1, name="a guest", threat="", budget="", attacks=(GUEST,))
    async with running_plant(tmp_path, programs, FORM, descriptors=500, tls=True) as plant:
        measured = await plant.measure(shape)
    for phase in (measured.baseline, measured.attack):
        assert phase.missing == 0
        assert phase.expected >= FORM.presses_per_second * 10
        assert len(phase.visits.readiness) == 10
        assert phase.cores.keys() == {"bridge", "broker", "reader"}
        assert len(phase.attackers) == 1
    assert measured.has_left_the_plant_whole
    assert measured.links_lost == 0
    assert measured.events_per_second > 10
    assert 50 < measured.descriptors < 500
    assert plant.pressed == 2 * FORM.presses_per_second


def test_the_forms_have_stations_for_all_their_presses() -> None:
    assert WHOLE.shapes_of_a_plant >= 1
    assert QUICK.shapes_of_a_plant >= 6
