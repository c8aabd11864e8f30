"""Run-time adapters taken out of a published graph, on a small model of jina-embeddings-v3's architecture."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from bench import standin
from embedder.adapters import SIDE, split
from embedder.cli import main
from embedder.encoder_files import write_graph
from embedder.errors import ModelFolderError, PrepareError
from embedder.manifest import verify_folder
from embedder.model import load_model
from embedder.prepare import prepare
from embedder.published_encoder import PublishedEncoder
from embedder.published_graph import PublishedGraph
from tests.embedder.conftest import Serve

Array = NDArray[np.float32]
IDS = np.random.default_rng(5).integers(4, 300, (3, 20))
MASK = np.ones_like(IDS)
MASK[1, 9:] = 0
TEXTS = ["a cat sat", "bdf", "what did we decide about the migration"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = standin.write(tmp_path_factory.mktemp("published") / "jina-small", standin.SMALL)
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n# A model\n")
    return folder


@pytest.fixture(scope="module")
def prepared(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "int8"
    prepare(str(source), out, say=lambda _line: None)
    return out


def published(source: Path) -> Path:
    return source / "onnx" / "model.onnx"


def run(graph: Path, **feed: object) -> Array:
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    result: Array = session.run(None, {"input_ids": IDS, "attention_mask": MASK, **feed})[0]
    return result


def unit_means(tokens: Array) -> Array:
    means = (tokens * MASK[..., None]).sum(axis=1) / MASK.sum(axis=1, keepdims=True)
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def encoder_of(source: Path, task: int | None = None) -> PublishedEncoder:
    config = json.loads((source / "config.json").read_text())
    return PublishedEncoder(PublishedGraph.read(published(source)), config, tasks=5, positions=128, task=task)


def write(source: Path, out: Path, form: str = "none", task: int | None = None) -> Path:
    encoder = encoder_of(source, task)
    write_graph(out, encoder, encoder.shape, form, beside=True)
    return out


@pytest.mark.parametrize("task", range(5))
def test_each_task_gives_the_published_numbers_in_every_graph(source: Path, tmp_path: Path, task: int) -> None:
    split(published(source), tmp_path / "split.onnx", 5)
    whole, one = write(source, tmp_path / "whole.onnx"), write(source, tmp_path / "one.onnx", task=task)
    expected = unit_means(run(published(source), task_id=np.array(task)))
    assert np.allclose(run(tmp_path / "split.onnx", task_id=np.array(task)), expected, atol=1e-4)
    assert np.allclose(run(whole, task_id=np.full(len(IDS), task)), expected, atol=1e-5)
    assert np.allclose(run(one), expected, atol=1e-5)


def test_the_tasks_of_the_stand_in_differ(source: Path) -> None:
    first, second = (unit_means(run(published(source), task_id=np.array(task))) for task in (0, 1))
    assert np.abs(first - second).max() > 0.05


def test_every_product_has_a_constant_weight_afterwards(source: Path, tmp_path: Path) -> None:
    split(published(source), tmp_path / "model.onnx", 5)
    graph = onnx.load(str(tmp_path / "model.onnx")).graph
    stored = {tensor.name for tensor in graph.initializer}
    constants = [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in stored]
    assert len(constants) == 4 * standin.SMALL.layers
    # The difference of two adapters of rank 4 has rank 8; the table of token types has one row.
    sides = {tensor.name: tensor.dims for tensor in graph.initializer if tensor.name.startswith(SIDE)}
    assert {dims[1] for name, dims in sides.items() if name.endswith(".right")} == {1, 8}


def small_graph(path: Path, *, user: str) -> Path:
    """A graph of tokens' states whose weight, of full rank, is another for each of two tasks."""
    tables = onnx.numpy_helper.from_array(np.random.default_rng(1).random((2, 64, 64), np.float32), "tables")
    nodes = [
        helper.make_node("Gather", ["tables", "task_id"], ["weight"]),
        helper.make_node("Cast", ["input_ids"], ["ids"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["ids", "last"], ["column"]),
        helper.make_node("Expand", ["column", "size"], ["states"]),
        helper.make_node(user, ["states", "weight"], ["y"]),
    ]
    whole = {"last": [2], "size": [1, 1, 64]}
    stored = [onnx.numpy_helper.from_array(np.array(value, np.int64), name) for name, value in whole.items()]
    text = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ("b", "l")) for name in ("input_ids", "attention_mask")
    ]
    task = helper.make_tensor_value_info("task_id", TensorProto.INT64, ())
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ("b", "l", 64))
    graph = helper.make_graph(nodes, "small", [*text, task], [out], [tables, *stored])
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def test_weights_that_differ_by_more_than_an_adapter_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match="more than an adapter of rank"):
        split(small_graph(tmp_path / "in.onnx", user="MatMul"), tmp_path / "out.onnx", 2)


def test_other_uses_of_what_depends_on_the_task_are_kept_for_each_task(tmp_path: Path) -> None:
    source = small_graph(tmp_path / "in.onnx", user="Add")
    # The weight is added to every text's states: as many tokens as it has rows.
    feed = {"input_ids": np.arange(64)[None], "attention_mask": np.ones((1, 64), np.int64)}
    split(source, tmp_path / "out.onnx", 2)
    for task in (0, 1):
        whole = {**feed, "task_id": np.array(task)}
        tokens = onnxruntime.InferenceSession(str(source)).run(None, whole)[0][0]
        expected = tokens.mean(axis=0) / np.linalg.norm(tokens.mean(axis=0))
        assert np.allclose(onnxruntime.InferenceSession(str(tmp_path / "out.onnx")).run(None, whole)[0], expected)


def test_a_graph_without_tasks_is_refused(source: Path, tmp_path: Path) -> None:
    write(source, tmp_path / "plain.onnx", task=0)
    with pytest.raises(PrepareError, match="no input 'task_id'"):
        split(tmp_path / "plain.onnx", tmp_path / "out.onnx", 5)


def test_the_manifest_tells_tasks_dimensions_and_licence(prepared: Path) -> None:
    manifest = verify_folder(prepared)
    assert manifest.tasks == standin.TASKS
    assert (manifest.dimensions, manifest.smallest_dimensions, manifest.max_length) == (64, 32, 128)
    assert manifest.prefixes["retrieval.query"].startswith("Represent the query")
    assert (manifest.licence, manifest.commercial_use) == ("cc-by-nc-4.0", False)
    assert 0.98 < manifest.agreement["min"] <= manifest.agreement["mean"] <= 1


def test_the_weights_became_int8(prepared: Path) -> None:
    nodes = onnx.load(str(prepared / "model.onnx")).graph.node
    # Each weight's, and the left side of its adapter's.
    assert sum(node.op_type == "MatMulIntegerToFloat" for node in nodes) == 2 * 4 * standin.SMALL.layers


@pytest.mark.parametrize("form", ["none", "int8", "int8-rows"])
def test_a_batch_mixes_tasks(source: Path, tmp_path: Path, form: str) -> None:
    one_each = np.array([4, 0, 2])
    mixed = run(write(source, tmp_path / "model.onnx", form), task_id=one_each)
    for row, task in enumerate(one_each):
        expected = unit_means(run(published(source), task_id=np.array(task)))[row]
        assert np.abs(mixed[row] - expected).max() < (1e-5 if form == "none" else 0.03)
        assert mixed[row] @ expected > 0.999


def test_a_graph_that_is_read_wrongly_keeps_its_own_operators(source: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(source, tmp_path / "other"))
    config = json.loads((source / "config.json").read_text()) | {"rotary_emb_base": 10000.0}
    (other / "config.json").write_text(json.dumps(config))
    prepare(str(other), tmp_path / "out", say=lambda _line: None)
    kinds = {node.op_type for node in onnx.load(str(tmp_path / "out" / "model.onnx")).graph.node}
    assert "GroupQueryAttention" not in kinds
    assert "Softmax" in kinds
    model, _ = load_model(tmp_path / "out")
    assert not model.mixes_tasks
    assert model.run(model.tokenize(TEXTS), ["separation"] * 3).shape == (3, 64)


def test_a_graph_of_other_parts_is_no_encoder(tmp_path: Path) -> None:
    graph = PublishedGraph.read(small_graph(tmp_path / "in.onnx", user="Add"))
    with pytest.raises(PrepareError, match="elsewhere than in products and tables"):
        PublishedEncoder(graph, {}, tasks=2, positions=8)


def test_a_licence_that_forbids_commercial_use_is_printed(
    source: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", "--model", str(source), "--out", str(prepared)]) == 0
    assert "cc-by-nc-4.0, which forbids commercial use" in capsys.readouterr().out


def test_one_process_serves_queries_and_passages(serve: Serve, source: Path, prepared: Path) -> None:
    served = serve(prepared)
    model, manifest = load_model(prepared)

    def ask(task: str | None) -> Array:
        body = {"input": TEXTS} | ({"task": task} if task else {})
        answer = served.post("/v1/embeddings", json=body).json()
        return np.array([item["embedding"] for item in answer["data"]], np.float32)

    for task in standin.TASKS:
        rows = model.tokenize([manifest.prefixes.get(task, "") + text for text in TEXTS])
        alone = np.concatenate([model.run([row], task) for row in rows])
        assert np.sum(ask(task) * alone, axis=1).min() > 0.999
    assert np.abs(ask("retrieval.query") - ask("retrieval.passage")).max() > 0.05
    assert np.allclose(ask(None), ask("text-matching"), atol=1e-3)


def test_two_tasks_get_a_graph_each_and_give_what_one_graph_gives(source: Path, prepared: Path, tmp_path: Path) -> None:
    retrieval = ("retrieval.query", "retrieval.passage")
    assert main(["prepare", "--model", str(source), "--out", str(tmp_path / "two"), "--fold", ",".join(retrieval)]) == 0
    (model, manifest), (whole, _) = load_model(tmp_path / "two"), load_model(prepared)
    assert (manifest.tasks, manifest.default_task) == (retrieval, "retrieval.query")
    assert dict(manifest.graphs) == {"retrieval.query": "model.onnx", "retrieval.passage": "model-2.onnx"}
    assert not model.mixes_tasks
    rows = model.tokenize(TEXTS)
    found = {task: model.run(rows, task) for task in retrieval}
    assert np.abs(found["retrieval.query"] - found["retrieval.passage"]).max() > 0.05
    for task, vectors in found.items():
        assert np.sum(vectors * whole.run(rows, task), axis=1).min() > 0.998
    with pytest.raises(ModelFolderError, match="holds one graph for all tasks"):
        prepare(str(source), prepared, fold=retrieval, say=lambda _line: None)


def test_a_task_that_cannot_be_folded_is_named(source: Path, tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match=r"has no task 'poetry' to fold; its tasks are: retrieval\.query, "):
        prepare(str(source), tmp_path / "out", fold=("poetry",), say=lambda _line: None)
    with pytest.raises(PrepareError, match="none, it has no adapters"):
        prepare("all-MiniLM-L6-v2", tmp_path / "out", fold=("text-matching",), say=lambda _line: None)


def test_a_served_model_names_its_licence_and_refuses_what_it_has_not(serve: Serve, prepared: Path) -> None:
    served = serve(prepared)
    [model] = served.get("/models").json()["data"]
    assert (model["licence"], model["commercial_use"]) == ("cc-by-nc-4.0", False)
    assert model["tasks"] == list(standin.TASKS)
    for field, value in {"task": "poetry", "dimensions": 31}.items():
        answer = served.post("/v1/embeddings", json={"input": "a", field: value})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)
    short = served.post("/v1/embeddings", json={"input": "a", "dimensions": 32}).json()["data"][0]["embedding"]
    assert np.linalg.norm(short) == pytest.approx(1, abs=1e-5)


def test_a_graph_whose_data_is_missing_is_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    for name in ("config.json", "tokenizer.json", "onnx/model.onnx"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    with pytest.raises(PrepareError, match="cannot be read from the graph's data"):
        prepare(str(tmp_path), tmp_path / "out", say=lambda _line: None)
    assert not (tmp_path / "out").exists()


def test_the_stand_in_says_what_the_published_configuration_says(source: Path) -> None:
    config = json.loads((source / "config.json").read_text())
    assert (config["position_embedding_type"], config["lora_rank"]) == ("rotary", 4)
