"""The sweep's report: the default is marked, and a variant is named only if it is better by enough."""

from __future__ import annotations

import argparse

import pytest

from local.client import ToolError
from local.loadtest.settings_sweep import DEFAULT, VARIANTS, add_options, sweep, sweep_report
from local.loadtest.versus.rounds import Standing
from local.results.report import to_markdown
from tests.tools.test_load_report import HEAD


def standing(who: str, rate: float) -> Standing:
    ratios = {"req/s": rate, "P99": 1.0, "CPU": 1.0, "memory": 1.0}
    return Standing(who, "search", 4, 40 * rate, 10.0, 90.0, 12.0, 2**20, 0, ratios)


def text_of(**rates: float) -> str:
    found = {name: [standing(DEFAULT, 1.0), standing(name, rate)] for name, rate in rates.items()}
    return to_markdown(sweep_report(HEAD | {"rounds": 3, "seconds": 4.0}, found))


def test_the_default_is_marked_and_stands_once() -> None:
    text = text_of(one=0.9, two=1.05)
    assert text.count("**default**") == 1
    assert "it stays" in text
    assert "| two | 42.0 | 90 | 12.0 | 1 | 1.05 |" in text


def test_a_variant_that_is_better_by_a_tenth_is_named() -> None:
    assert "a tenth or more: two." in text_of(one=1.09, two=1.1)


def test_variants_differ_from_the_default_and_from_each_other() -> None:
    assert len({(one.uvicorn, one.newer_lite, *sorted(one.settings.items())) for one in VARIANTS}) == len(VARIANTS)
    assert all(one.settings or one.uvicorn for one in VARIANTS)


def test_an_unknown_variant_names_the_known_ones() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    with pytest.raises(ToolError, match=r"'threads' is none of: .*4 embedder threads"):
        sweep(parser.parse_args(["--only", "threads"]))
