"""docs/metrics.md names every metric with its kind and label, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from forgetless.adapters.metrics_emf import emf_name
from forgetless.ports.metrics import METRICS

PAGE = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_the_page_has_every_metric_in_order() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (\w+)(?:, `(\w+)`)? \|", PAGE, re.MULTILINE)
    assert rows == [
        (metric.name, emf_name(metric), str(metric.kind), next(iter(metric.labels), "")) for metric in METRICS
    ]
