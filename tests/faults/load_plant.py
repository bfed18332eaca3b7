"""The plant of the fault tests: the demo's, and a line whose devices have no sequence: other duplicate rules hold."""

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from bridge.domain.messages import Publication
from tests.support.bridge_process import DEMO_PLANT

PLACE: Final = "plant1/assembly/L5"
STATIONS: Final = ("Andon-A", "Andon-B", "Andon-C")
TYPES: Final = ("quality", "material", "process")
LINE: Final = f"""
[[lines]]
id = "L5"
area = "assembly"
name = "By hand"

[[lines.equipment]]
id = "Bench-5"

[[lines.equipment]]
id = "Scale-5"
clock = "receive"
{
    "".join(
        f'''
[[lines.equipment]]
id = "{station}"
kind = "station"
'''
        for station in STATIONS
    )
}
[[lines.limits]]
parameter = "weight"
unit = "g"
upper = 1000000
"""
ACTIONS: Final = ("raise", "acknowledge", "resolve")


def write_plant(folder: Path) -> Path:
    """Write the plant file beside the settings, and return its path."""
    text = DEMO_PLANT.read_text()
    catalogue = "bagger1_faults.csv"
    assert f'"{catalogue}"' in text
    path = folder / "plant.toml"
    path.write_text(text.replace(f'"{catalogue}"', f'"{DEMO_PLANT.parent / catalogue}"') + LINE)
    return path


def reports_without_sequence() -> Iterator[list[Publication]]:
    """Yield the reports of the devices without a sequence, beat after beat; no two payloads are equal.

    Presses without a date, which only a DUP flag shows to be repeated; measurements with a date, known by their bytes;
    retained states, which come again with every subscription; and a user's commands, known by their id.
    """
    for number in itertools.count():
        station, andon_type = STATIONS[number % 3], TYPES[number // 9 % 3]
        action = {"action": ACTIONS[number // 3 % 3], "andon_type": andon_type, "notes": f"press {number}"}
        weight = {"ts": number, "parameter": "weight", "value": float(number), "unit": "g"}
        reports = [_report(f"{station}/andon", action), _report("Scale-5/measurement", weight)]
        if number % 5 == 0:
            state = {"state": ("running", "stopped")[number // 5 % 2], "reason_code": f"R{number}"}
            reports.append(_report("Bench-5/state", state, retain=True))
        if number % 7 == 0:
            reports.append(_command(number))
        yield reports


def _report(device: str, body: Mapping[str, object], *, retain: bool = False) -> Publication:
    return Publication(f"report/{PLACE}/{device}", json.dumps(body).encode(), retain)


def _command(number: int) -> Publication:
    call = {
        "action": ("raise", "resolve")[number // 7 % 2],
        "andon_type": "maintenance",
        "description": f"said {number}",
    }
    user = {"id": "eva", "roles": ["admin"]}
    return Publication(f"command/{PLACE}/_/andon", json.dumps({"id": f"c{number}", "user": user, **call}).encode())
