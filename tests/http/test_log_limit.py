"""The limit of the log: of each kind one line in ten seconds, and none is lost from the count."""

import itertools
from random import Random

from bridge.http.log_limit import LOG_SECONDS, LogLimit


def test_lines_of_a_kind_are_ten_seconds_apart_and_count_those_between() -> None:
    now, chance = 0.0, Random(11)
    limit = LogLimit(lambda: now)
    written: dict[str, list[tuple[float, int]]] = {kind: [] for kind in "abc"}
    asked: dict[str, list[float]] = {kind: [] for kind in written}
    for _ in range(5_000):
        now += chance.expovariate(1 / 500)
        kind = chance.choices("abc", weights=[1, 10, 1_000])[0]
        asked[kind].append(now)
        if (left_out := limit.due(kind)) is not None:
            written[kind].append((now, left_out))
    for kind, lines in written.items():
        assert lines[0] == (asked[kind][0], 0), "the first is written"
        for (former, _), (latter, left_out) in itertools.pairwise(lines):
            between = [at for at in asked[kind] if former < at < latter]
            assert latter - former >= LOG_SECONDS * 1_000
            assert all(at - former < LOG_SECONDS * 1_000 for at in between)
            assert left_out == len(between)
