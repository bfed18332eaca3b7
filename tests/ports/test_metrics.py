"""The port to the metrics: a sample has exactly the labels of its metric."""

import pytest

from bridge.ports.metrics import Metric, MetricSample


def test_a_sample_has_every_label_of_its_metric_and_no_other() -> None:
    assert MetricSample(Metric.PIECES_HELD, 1, {"equipment": "M1", "line": "L1"}).value == 1
    for labels in ({}, {"line": "L1"}, {"line": "L1", "equipment": "M1", "reason": "x"}):
        with pytest.raises(ValueError, match="PIECES_HELD"):
            MetricSample(Metric.PIECES_HELD, 1, labels)
