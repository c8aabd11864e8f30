"""The load report's section about the embedder's benchmark: its figures if there are any, otherwise nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local.loadtest.report.embedder_section import embedder_section, read_figures
from local.loadtest.report.load_report import load_report
from local.results.report import Report, Section, to_markdown
from tests.tools.test_load_report import HEAD, recording

__all__ = ["recording"]


def figures(per_second: float, **more: float | None) -> dict[str, Any]:
    return {"per_second": per_second, "p50": 1.0, "p99": 20.0, "cpu_per_request": 2.0, "errors": 0} | more


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """What `make bench-embedder` writes."""
    results = {
        "embedder": {"short@1": figures(100), "short@100": figures(450, p99=250.0)},
        "infinity": {"short@1": figures(50), "short@100": figures(100, p99=1000.0, cpu_per_request=18.0)},
        "raw ONNX Runtime": {"short@100": figures(500, p99=None, cpu_per_request=None)},
    }
    file = tmp_path / "embedder.json"
    file.write_text(json.dumps({"machine": {"cores": 2}, "results": results}))
    return file


def shown(section: Section | None) -> str:
    assert section is not None
    return to_markdown(Report("r", "", (section,)))


def test_each_case_stands_beside_infinitys(left: Path) -> None:
    text = shown(embedder_section(read_figures(left)))
    assert "| short@1 | 100 | 50 | 2.0 |" in text
    assert "| short@100 | 450 | 100 | 4.5 | 250.0 | 1000.0 | 2.0 | 18.0 |" in text


def test_the_share_of_onnx_runtime_alone_is_told_where_it_was_measured(left: Path) -> None:
    assert "alone: 90% (short@100)." in shown(embedder_section(read_figures(left)))


@pytest.mark.parametrize("content", [None, "{", "{}", '{"results": {"embedder": {}}}', '{"results": []}'])
def test_without_a_whole_benchmark_there_is_no_section(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "embedder.json"
    if content is not None:
        file.write_text(content)
    assert read_figures(file) is None
    assert embedder_section(None) is None


def test_the_load_report_shows_the_figures_that_its_run_found(left: Path, recording: Any) -> None:
    def titles(head: dict[str, Any]) -> list[str]:
        again = type(recording)(head, recording.plan, recording.run)
        return [section.title for section in load_report(again).sections]

    assert "The embedder beside infinity" in titles(HEAD | {"embedder_beside_infinity": read_figures(left)})
    assert "The embedder beside infinity" not in titles(HEAD)
