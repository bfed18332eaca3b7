"""A run takes a shape again where it may have been late by chance, and keeps the better row."""

from collections import Counter
from dataclasses import replace

from tests.attack.__main__ import _add
from tests.attack.measurement import AttackRow, Histogram
from tests.attack.plant import QUICK
from tests.attack.test_measurement import MEASUREMENT, MS, PHASE


def test_the_better_of_two_rows_is_kept() -> None:
    rows: dict[int, AttackRow] = {}
    baselines = Histogram(PHASE.latencies)
    for late, kept, again in ((50, 50, False), (60, 50, False), (40, 40, True)):
        attack = replace(PHASE, latencies=Counter({late * MS: 100}))
        _add(rows, replace(MEASUREMENT, attack=attack), baselines, QUICK)
        assert rows[1].cells()[1] == str(kept)
        assert rows[1].again == again
