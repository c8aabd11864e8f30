"""What functions count and measure, as Prometheus reads it from the running service."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.house import House, wait_until
from tests.e2e.test_house import TEST_S

pytestmark = [pytest.mark.slow, pytest.mark.timeout(TEST_S)]


def figures(house: House) -> dict[tuple[str, ...], float]:
    """Every series by its name and the values of its labels."""
    text = httpx.get(f"http://127.0.0.1:{house.metrics_port}/metrics", timeout=30).text
    families = list(text_string_to_metric_families(text))
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_adds_and_searches_are_counted_by_their_functions(house: House) -> None:
    if house.metrics_port is None:
        pytest.skip("no emulator here")
    counted = (
        ("forgetless_adds_total", "verbatim"),
        ("forgetless_adds_total", "inferred"),
        ("forgetless_searches_total",),
    )
    before = figures(house)
    house.add("I keep bees.", user="metric")
    house.add("I keep hens.", user="metric", infer=True)
    house.found("Which animals?", user="metric")

    def grown() -> bool:
        now = figures(house)
        return all(now.get(name, 0) == before.get(name, 0) + 1 for name in counted)

    wait_until(grown)
    now = figures(house)
    parts = ("ledger", "index", "embedder", "llm")
    assert all(now[(f"forgetless_{part}_seconds_count",)] > 0 for part in parts)
    assert now[("forgetless_cold_starts_total", "search")] >= 1
    assert ("emulator_queue_messages", "IngestDlq.fifo", "visible") in now
