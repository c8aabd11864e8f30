"""make bench-index: which rows there are, which of them are nearest, what fits, and that it runs."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from local.bench.index_rows.command import fits, main
from local.bench.index_rows.measures import Figures
from local.bench.index_rows.report import rows_report, rows_table
from local.bench.index_rows.rows import PORTION, Rows
from local.client import ToolError
from local.results.report import to_markdown


def test_rows_are_shared_out_among_tenants_and_are_the_same_each_time() -> None:
    rows = Rows(tenants=4, dimensions=8)
    made = [*rows.numbered(range(PORTION)), *rows.numbered(range(PORTION, PORTION + 8))]
    assert Counter(row.memory.scope.tenant for row in made) == {f"tenant-{n}": 52 for n in range(4)}
    assert len({row.memory.id for row in made}) == len(made)
    again = list(rows.numbered(range(PORTION, PORTION + 3)))
    assert [row.vector for row in again] == [row.vector for row in made[PORTION : PORTION + 3]]
    assert all(np.linalg.norm(row.vector) == pytest.approx(1, abs=1e-5) for row in made)


def test_the_nearest_rows_are_those_of_a_comparison_with_every_row_of_the_tenant() -> None:
    rows, count = Rows(tenants=3, dimensions=8), 11 * PORTION + 7
    made = [
        row for start in range(0, count, PORTION) for row in rows.numbered(range(start, min(count, start + PORTION)))
    ]
    mine = [row for row in made if row.memory.scope.tenant == "tenant-0"]
    asked = [vector for vector, _ in rows.questions(5)]
    scores = np.array(asked) @ np.array([row.vector for row in mine]).T
    true = [{mine[place].memory.id for place in np.argsort(-row)[:10]} for row in scores]
    assert rows.nearest(asked, count, best=10) == true


def test_what_has_no_time_is_left_out(tmp_path: Path) -> None:
    assert fits(1_000_000, 5_000.0, left_s=300)
    assert not fits(1_000_000, 1_000.0, left_s=300)
    with pytest.raises(ToolError, match="above 0"):
        main(["--sizes", "0", "--out", str(tmp_path)], {})


def test_a_series_is_a_table_with_the_ratio_to_the_size_before() -> None:
    few, many = (Figures(Rows(1, 8), count, {"disk MB": count / 100}) for count in (1_000, 5_000))
    table = rows_table([few, many])
    assert table.headings == ("", "1,000 rows", "5,000 rows", "×")
    assert table.rows == (("disk MB", "10.00", "50.00", "5.00"),)
    text = to_markdown(rows_report([few, many], ["9 rows of one tenant: no time"], {"cores": 2}))
    assert "## One tenant" in text
    assert "Left out: 9 rows of one tenant: no time." in text


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="milvus-lite 2.5.1 has no wheel for Windows")
def test_it_measures_each_size_that_fits_and_says_what_was_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ("--sizes", "40", "90", "1000000000", "--tenants", "1", "--dimensions", "8", "--seconds", "0.05")
    assert main([*sizes, "--minutes", "10", "--out", str(tmp_path)], {}) == 0
    assert "1,000,000,000 rows of one tenant: no time is left for it" in capsys.readouterr().out
    (folder,) = tmp_path.iterdir()
    first, second = json.loads((folder / "figures.json").read_text())["sizes"]
    assert (first["rows"], second["rows"]) == (40, 90)
    assert second["share of the true best ten"] == second["share of a user's rows"] == 1.0
    assert second["disk MB"] > 0 < second["tenant, by vector P50 ms"]
