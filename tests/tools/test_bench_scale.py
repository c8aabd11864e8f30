"""make bench-scale: which sizes fit, what is imported, and the table with its ratios."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from local.bench.scale.command import fits, main
from local.bench.scale.measures import Figures, Measures, OutOfTimeError, disk_bytes
from local.bench.scale.report import memory_table, scale_report, scale_table
from local.bench.scale.sizes import SIZES, Size, parse_size, questions, write_import_file
from local.client import Connection, ToolError
from local.loadtest.scratch_service import ScratchService
from local.results.report import to_markdown
from tests.tools.fake_service import KEY, FakeService


def figures(size: Size, **values: float) -> Figures:
    return Figures(size, {name.replace("_", " "): value for name, value in values.items()}, {"milvus": 120_000_000})


def measures(service: FakeService, folder: Path, end: float = float("inf")) -> Measures:
    own = ScratchService(Connection(service.url, KEY), folder, "", "")
    return Measures(own, Size(4), folder, seconds=0.1, end=end)


def test_the_imported_lines_are_memories_of_the_users_and_no_two_are_alike(tmp_path: Path) -> None:
    file = tmp_path / "memories.jsonl"
    write_import_file(file, Size(600, 3))
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert len({record["id"] for record in records}) == len({record["memory"] for record in records}) == 600
    users = Counter(record["user_id"] for record in records)
    assert users == {Size(600, 3).user(number): 200 for number in range(3)}
    assert len(set(questions(50))) > 10


def test_sizes_are_read_from_the_command_line() -> None:
    assert parse_size("20000") == Size(20_000)
    assert parse_size("100_000/10000") == SIZES[-1]
    assert str(SIZES[-1]) == "100,000 of 10,000 users"
    for wrong in ("many", "10/0", "1/2"):
        with pytest.raises(ToolError, match="--sizes"):
            parse_size(wrong)


def test_a_size_that_does_not_fit_into_the_time_is_left_out(tmp_path: Path) -> None:
    assert fits(Size(20_000), 1200, [])
    assert not fits(Size(100_000), 600, [150.0, 140.0])
    with pytest.raises(ToolError, match="no size fits"):
        main(["--sizes", "100000", "--minutes", "1", "--out", str(tmp_path)], {})


def test_the_table_has_the_ratio_to_the_smallest_size() -> None:
    small = figures(Size(1000), count_P50_ms=10.0, ledger_MB=2.0)
    large = figures(Size(20_000), count_P50_ms=11.0)
    large.failures["ledger MB"] = "nobody knows"
    table = scale_table([small, large])
    assert table.headings == ("", "1,000 of one user", "20,000 of one user", "×")
    assert table.rows == (("count P50 ms", "10.0", "11.0", "1.10"), ("ledger MB", "2.0", "failed", ""))
    assert memory_table([small, large]).rows == (("milvus", "120", "120"),)
    text = to_markdown(scale_report([small, large], {SIZES[-1]: "no time"}, {"cores": 2}))
    assert "Left out: 100,000 of 10,000 users: no time." in text
    assert "Failed: 20,000 of one user, ledger MB: nobody knows." in text
    assert json.dumps(small.as_object())


def test_an_erasure_is_done_when_its_event_has_succeeded(service: FakeService, tmp_path: Path) -> None:
    service.broken["/v1/memories/"] = (200, {"event_id": "e"})
    service.broken["/v1/event/e/"] = (200, {"status": "SUCCEEDED"})
    done = measures(service, tmp_path)
    done.erase()
    assert 0 < done.figures.values["erase answer s"] < done.figures.values["erase done s"]
    service.broken["/v1/event/e/"] = (200, {"status": "RUNNING"})
    with pytest.raises(OutOfTimeError):
        measures(service, tmp_path, end=0.0).erase()


def test_a_failed_erasure_says_what_is_left(service: FakeService, tmp_path: Path) -> None:
    service.broken["/v1/memories/"] = (500, {})
    service.broken["/v1/entities/"] = (200, {"results": [{"type": "user", "total_memories": 3}]})
    failed = measures(service, tmp_path)
    failed.erase()
    assert failed.figures.failures == {"erase": "status 500, 3 memories are left"}


def test_space_on_the_disk_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 10_000)
    assert disk_bytes(tmp_path.rglob("*")) >= 10_000
