"""The load test's report: complete, self-contained, and the same in Markdown."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from local.client import ToolError
from local.loadtest.report.both_models import models_tables
from local.loadtest.report.load_report import load_report, write_report
from local.loadtest.report.plots import colours_of, groups, in_order, lines
from local.loadtest.result_files import BESIDE, Recording, Run, beside_of, read_recording
from local.loadtest.scenario import Plan, Stage
from local.results.page import to_page
from local.results.report import Report, Section, Table, to_markdown
from local.results.result import new_folder
from tests.tools.test_load_figures import TIMING, look, sample

HEAD = {
    "time": "2026-01-01T00:00:00+00:00",
    "machine": {"cores": 2, "processor": "", "memory_bytes": 2**33, "system": "Linux", "load_average_before": 0.5},
    "versions": {"python": "3.11", "pymilvus": "-"},
    "settings": {"FORGETLESS_EMBEDDING_MODEL": "a <model>"},
    "tool": "k6", "memories": 1000, "users": 5, "batch": 100, "stopped_at": None, "load_average_after": 1.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def recording() -> Recording:
    plan = Plan("http://127.0.0.1:1", (Stage(30, 10.0), Stage(60, 10.0)), 5.0, (1.0, 3.0), "default")
    samples = [sample(at / 4, 20 + at, timing=TIMING) for at in range(120)]
    looks = [look(at, slow=at % 5 == 0, gateway=at * 0.1, **{"load generator": at * 0.05}) for at in range(31)]
    return Recording(HEAD, plan, Run(samples, looks, None))


def test_the_page_fetches_nothing_and_runs_nothing(recording: Recording) -> None:
    page = to_page(load_report(recording))
    assert "<script" not in page
    assert "<link" not in page
    addresses = set(re.findall(r"https?://[^\"' <)]+", page))
    assert all("w3.org" in address for address in addresses), "names of XML, nothing else"
    assert not re.search(r"(src|href)=\"(?!#)", page)


def test_plots_follow_the_pages_colours_and_windows(recording: Recording) -> None:
    page = to_page(load_report(recording))
    assert page.count("class=wide") == page.count("class=narrow") == 6
    assert "#0102" not in page, "a stand-in colour is left"
    assert "prefers-color-scheme: dark" in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids)), "an id that two plots share lets one clip the other"
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)


def test_what_users_wrote_is_no_markup(recording: Recording) -> None:
    page = to_page(load_report(recording))
    assert "a &lt;model&gt;" in page
    assert "a <model>" not in page


def test_the_table_has_the_reference_beside_it(recording: Recording) -> None:
    text = to_markdown(load_report(recording))
    row = next(line for line in text.splitlines() if line.startswith("| 30 |"))
    assert row.endswith("| 14 | 300 |")
    assert "| 4.0 |" in row


def test_parts_cpu_and_memory_have_their_sections(recording: Recording) -> None:
    titles = [section.title for section in load_report(recording).sections]
    assert titles[0] == "The reference system's table"
    assert titles[-3:] == ["Where the time of a search goes", "CPU", "Memory"]


def test_without_looks_and_times_their_sections_are_left_out(recording: Recording) -> None:
    run = Run([sample(6), sample(7)], [], None)
    titles = [section.title for section in load_report(Recording(HEAD, recording.plan, run)).sections]
    assert not {"Where the time of a search goes", "CPU", "Memory"} & set(titles)


def test_stages_of_other_sizes_have_no_reference(recording: Recording) -> None:
    plan = Plan("", (Stage(7, 10.0),), 0.0, (0.0, 0.0), "search")
    report = load_report(Recording(HEAD, plan, Run([sample(1)], [], None)))
    assert report.sections[0].title == "By stage"
    assert "reference" not in to_markdown(report).lower()


def test_a_soak_tells_the_growth_of_each_part(recording: Recording) -> None:
    plan = Plan("", (Stage(60, 3600.0),), 0.0, (1.0, 3.0), "default")
    # The embedder's bytes in these looks grow by 1000 in a second.
    looks = [look(at, slow=True, embedder=1.0) for at in range(0, 3601, 60)]
    report = load_report(Recording(HEAD, plan, Run([sample(1)], looks, None)))
    (section,) = (one for one in report.sections if one.title == "Growth of memory")
    assert section.table is not None
    assert section.table.rows == (("embedder", "3", "+3.4"),)


def test_a_short_run_says_nothing_of_growth(recording: Recording) -> None:
    assert "Growth" not in to_markdown(load_report(recording))


def test_many_stages_show_where_throughput_ends(recording: Recording) -> None:
    plan = Plan("", tuple(Stage(users, 10.0) for users in (1, 2, 4, 8)), 0.0, (0.0, 0.0), "search")
    samples = [sample(at / 10, 50.0) for at in range(100, 200)] + [sample(at) for at in (1, 21, 31)]
    looks = [look(at, milvus=at * 0.7, gateway=at * 0.1) for at in range(41)]
    section = load_report(Recording(HEAD, plan, Run(samples, looks, None))).sections[1]
    assert section.title == "By users"
    assert "10.0, at 2 users, with P99 50 ms" in section.text
    assert "milvus with 70 % of a core" in section.text


def test_a_run_that_measured_nothing_still_has_a_report(recording: Recording) -> None:
    report = load_report(Recording(HEAD, recording.plan, Run([], [], 1.0)))
    assert "Stopped before its end" in report.lead
    assert to_page(report)


def test_three_files_are_written_and_a_broken_folder_is_told(recording: Recording, tmp_path: Path) -> None:
    page = write_report(recording, tmp_path)
    assert page.stat().st_size < 500_000
    assert json.loads((tmp_path / "figures.json").read_text())["stages"][0]["users"] == 30
    assert (tmp_path / "report.md").exists()
    with pytest.raises(ToolError, match="no complete run"):
        read_recording(tmp_path)


def test_results_of_one_second_do_not_share_a_folder(tmp_path: Path) -> None:
    assert len({new_folder(tmp_path, "load") for _ in range(3)}) == 3


def test_the_marked_row_is_bold_in_markdown_and_bars_are_escaped() -> None:
    table = Table(("a", "b"), (("1", "2|3"), ("4", "")), marked=0)
    text = to_markdown(Report("t", "l", (Section("s", table=table),)))
    assert "| **1** | **2\\|3** |" in text
    assert "| 4 |  |" in text


def test_parts_have_one_order_with_the_load_generator_last() -> None:
    assert in_order(["load generator", "unheard of", "milvus", "gateway"]) == [
        "gateway", "milvus", "unheard of", "load generator",
    ]  # fmt: skip


def test_a_line_without_points_is_drawn() -> None:
    assert "<svg" in lines("nothing", [], {"P50": []}, unit="ms").wide


def larger(recording: Recording) -> Recording:
    """The same load on a model that takes three times as long and twice the gateway's CPU."""
    settings = {"FORGETLESS_EMBEDDING_MODEL": "larger"}
    samples = [sample(one.at, one.ms * 3, timing=one.timing) for one in recording.run.samples]
    looks = [look(at, slow=at % 5 == 0, gateway=at * 0.2, **{"load generator": at * 0.05}) for at in range(31)]
    return Recording({**HEAD, "settings": settings}, recording.plan, Run(samples, looks, None))


def test_two_models_stand_side_by_side_with_what_one_core_more_would_do(recording: Recording) -> None:
    stages, cpu, cores = models_tables(recording, larger(recording))
    assert [row[0] for row in stages.rows] == ["a <model>"] * 2 + ["larger"] * 2
    assert [row[-1] for row in stages.rows] == ["300", "420"] * 2, "the reference's P99 beside both"
    gateway = next(row for row in cpu.rows if row[0] == "gateway")
    assert gateway[-1] == "2.00"
    assert cpu.rows[-1][0] == "in all"
    assert cores.headings[4:] == tuple(f"{n} cores: {what}" for n in (2, 3) for what in ("req/s", "mean ms", "full"))
    for row in cores.rows:
        assert float(row[5]) >= float(row[8]), "with more cores, requests wait no longer"
        assert int(row[6].rstrip("%")) > int(row[9].rstrip("%"))


def test_the_report_of_a_run_shows_the_run_beside_it(recording: Recording, tmp_path: Path) -> None:
    assert beside_of(tmp_path) is None
    page = to_page(load_report(larger(recording), recording))
    assert page.index("Both models") < page.index("The reference system")
    assert "Both models" not in to_page(load_report(recording))
    (tmp_path / BESIDE).mkdir()
    with pytest.raises(ToolError, match="no complete run"):
        beside_of(tmp_path)


def test_no_two_series_of_a_plot_have_the_same_colour() -> None:
    assert colours_of(["Forgetless", "infinity"]) == {"Forgetless": "c1", "infinity": "c8"}
    # These two have the same sum of letters, which is also that of a known part.
    unknown = colours_of(["ab", "ba", "Forgetless"])
    assert list(unknown) == ["ab", "ba", "Forgetless"]
    assert len(set(unknown.values())) == 3
    assert unknown["Forgetless"] == "c1"
    plot = groups("Requests", {"one": {"ab": 1.0, "ba": 2.0}}, unit="req/s")
    assert len({colour for _, colour in plot.legend}) == 2
