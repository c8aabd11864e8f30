"""The benchmark runs, and what it says adds up."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from bench import graphs, jina, jina_shape, standin
from bench.full import slope_per_hour
from embedder import sources
from embedder.manifest import FORMAT, verify_folder
from tests.embedder import tiny


@pytest.mark.slow
def test_the_benchmark_measures_prints_and_saves(model_dir: Path, tmp_path: Path) -> None:
    room = Path(__file__).parents[2] / "embedder_container"
    command = [sys.executable, "-m", "bench", "--model-dir", str(model_dir), "--out", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EMBEDDER_")}
    done = subprocess.run(
        [*command, "--seconds", "0.2", "--rounds", "1"],
        cwd=room,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    ratio = re.fullmatch(r"ratio short@100: ([\d.]+)", done.stdout.splitlines()[-1])
    results = json.loads((tmp_path / "embedder.json").read_text())["results"]
    ours, raw = (results[name]["short@100"] for name in ("embedder", "raw ONNX Runtime"))
    assert ratio is not None
    assert float(ratio[1]) == pytest.approx(ours["per_second"] / raw["per_second"], abs=0.01)
    assert ours["errors"] == 0
    assert ours["p50"] <= ours["p99"]
    assert (tmp_path / "embedder.md").read_text().splitlines()[0].startswith("| | short@1 |")
    drawn = ElementTree.parse(tmp_path / "embedder.svg").getroot()
    assert len([shape for shape in drawn if shape.tag.endswith("rect")]) == 2 * 6


@pytest.mark.slow
def test_the_long_benchmark_measures_what_it_is_asked_for(model_dir: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "--full", "--model-dir", str(model_dir), "--out", str(tmp_path)]
    parts = ["--seconds", "0.05", "--minutes", "0.05", "--only", "policies", "shapes"]
    room = Path(__file__).parents[2] / "embedder_container"
    subprocess.run([*command, *parts], cwd=room, capture_output=True, text=True, check=True)
    found = json.loads((tmp_path / "embedder-full.json").read_text())
    assert set(found) == {"machine", "policies", "shapes"}
    shares = {name: each["padding_share"] for name, each in found["policies"].items()}
    assert shares["mixed: ours, 256 tokens"] < shares["mixed: in order of arrival, 32 rows"]
    assert found["shapes"]["errors"] == 0


def test_graphs_are_compared_in_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = tiny.write_files(tmp_path / "files")
    monkeypatch.setitem(sources.KNOWN, "tiny", tiny.packaged(files))
    monkeypatch.setattr(graphs, "fetch", lambda _recipe, _into: files)
    figures = graphs.compare(graphs.bert_graphs("tiny", tmp_path), ((1, 4), (2, 6)), seconds=0)
    assert list(figures) == [graphs.OLD, "int8", "int8-rows", graphs.CEILING]
    assert all(set(each) == {"(1, 4)", "(2, 6)"} and min(each.values()) > 0 for each in figures.values())
    first, *_, last = graphs.markdown(figures).splitlines()[2:]
    assert first.startswith(f"| {graphs.OLD} | {figures[graphs.OLD]['(1, 4)']} (×1.00, ")
    assert "100% of the ceiling" in last


def test_jinas_graphs_are_compared_in_one_run(tmp_path: Path) -> None:
    figures = graphs.compare(graphs.jina_graphs(standin.SMALL, tmp_path), ((2, 6),), seconds=0)
    assert list(figures) == [graphs.OLD, "int8", "int8, one task", "int8-rows", graphs.CEILING]


def test_jinas_forms_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(jina.QUICK, "0.01")
    monkeypatch.chdir(Path(jina.__file__).parents[1])
    figures = jina.compare(tmp_path, standin.SMALL)
    assert list(figures) == [
        "published fp32",
        *("all tasks fp32", "all tasks int8", "one task fp32", "one task int8"),
    ]
    assert all(value > 0 for form in figures.values() for value in form.values())


def test_the_slope_of_memory_is_for_an_hour() -> None:
    assert slope_per_hour([(0, 100), (60, 101), (120, 102)]) == pytest.approx(60)


def test_jinas_shape_is_prepared_with_a_tokenizer_of_its_own_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    words = standin.write(tmp_path_factory.mktemp("words") / "files", standin.SMALL)
    monkeypatch.setattr(jina_shape, "fetch", lambda _recipe, into: shutil.copytree(words, into / "files"))
    out = tmp_path / "models" / jina_shape.NAME
    jina_shape.make(out, standin.SMALL)
    manifest = verify_folder(out)
    assert (manifest.name, manifest.tasks, manifest.format) == (jina_shape.NAME, standin.TASKS, FORMAT)
    assert manifest.prefixes["retrieval.query"].startswith("Represent the query")
    assert (out / "tokenizer.json").read_bytes() == (words / "tokenizer.json").read_bytes()
    assert [path.name for path in out.parent.iterdir()] == [jina_shape.NAME], "the float weights are gone"
    folded = tmp_path / "models" / "folded"
    jina_shape.make(folded, standin.SMALL, fold=jina_shape.FOLDED)
    assert verify_folder(folded).tasks == ("retrieval.query", "retrieval.passage")
    assert verify_folder(folded).name == f"{jina_shape.NAME}-folded"
    monkeypatch.setattr(jina_shape, "fetch", None)
    jina_shape.make(out, standin.SMALL)
