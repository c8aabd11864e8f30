"""Graphs against torch: our encoders, an export by optimum, adapters as torch writes them (`make test-models`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from embedder.adapters import split
from embedder.errors import PrepareError
from embedder.model import OnnxModel, load_model, open_session
from embedder.prepare import prepare

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

# What torch, transformers and optimum deprecate among themselves is not ours to repair.
pytestmark = pytest.mark.filterwarnings("ignore")

SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]
LETTERS = [chr(97 + number) for number in range(26)]
TEXTS = ["abc", "hello there", "z"]
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
FORMS: dict[str, dict[str, Any]] = {
    "bert": SMALL,
    "xlm-roberta": SMALL | {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "type_vocab_size": 1},
    # No graph of our own: optimum exports it.
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48},
}


def tokenizer() -> Tokenizer:
    made = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate(SPECIALS + LETTERS)}, unk_token="<unk>")
    )
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.add_special_tokens(SPECIALS)
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return made


def published(kind: str, folder: Path) -> tuple[Path, Any]:
    """Save a random model of transformers as its publisher would; return the folder and the model."""
    torch.manual_seed(4)
    config = transformers.AutoConfig.for_model(kind, vocab_size=30, max_position_embeddings=40, **FORMS[kind])
    model = transformers.AutoModel.from_config(config, attn_implementation="eager").eval()
    # Trained models have weights that matter; the initial ones are near nothing.
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    return folder, model


def mean_vectors(model: Any, rows: list[list[int]]) -> np.ndarray:
    with torch.no_grad():
        means = [model(input_ids=torch.tensor([row])).last_hidden_state[0].mean(0) for row in rows]
    return np.stack([(mean / mean.norm()).numpy() for mean in means])


@pytest.mark.parametrize("kind", list(FORMS))
def test_a_prepared_folder_gives_what_transformers_gives(kind: str, tmp_path: Path) -> None:
    files, reference = published(kind, tmp_path / kind)
    prepare(str(files), tmp_path / "out", quantization="none", say=lambda _line: None)
    model, manifest = load_model(tmp_path / "out")
    rows = model.tokenize(TEXTS)
    assert manifest.dimensions == 32
    assert np.abs(model.run(rows) - mean_vectors(reference, rows)).max() < 1e-4


def test_what_optimum_cannot_export_is_one_line(tmp_path: Path) -> None:
    files, _ = published("distilbert", tmp_path / "broken")
    (files / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(PrepareError, match="optimum could not export broken"):
        prepare(str(files), tmp_path / "out", say=lambda _line: None)


class Adapted(torch.nn.Module):
    """A linear or an embedding whose weight has an adapter for each task, added when it runs, as jina's code does."""

    def __init__(self, layer: Any, *, table: bool) -> None:
        super().__init__()
        self.layer, self.table = layer, table
        rows, columns = layer.weight.shape
        self.a = torch.nn.Parameter(torch.randn(5, 4, columns) * 0.2)
        self.b = torch.nn.Parameter(torch.randn(5, rows, 4) * 0.2)

    def forward(self, given: Any, task: Any) -> Any:
        weight = self.layer.weight + torch.matmul(self.b[task], self.a[task]).view(self.layer.weight.shape) * 0.25
        if self.table:
            return torch.nn.functional.embedding(given, weight)
        return torch.nn.functional.linear(given, weight, self.layer.bias)


class Encoder(torch.nn.Module):
    """Words, one block of attention, one of two linears: every kind of place where an adapter can be."""

    def __init__(self) -> None:
        super().__init__()
        self.words = Adapted(torch.nn.Embedding(30, 32), table=True)
        self.qkv = Adapted(torch.nn.Linear(32, 96), table=False)
        self.out = Adapted(torch.nn.Linear(32, 32, bias=False), table=False)
        self.norm = torch.nn.LayerNorm(32)

    def forward(self, input_ids: Any, attention_mask: Any, task_id: Any) -> Any:
        hidden = self.words(input_ids, task_id)
        query, key, value = self.qkv(hidden, task_id).chunk(3, dim=-1)
        away = (1.0 - attention_mask[:, None, :].float()) * -1e9
        shares = torch.softmax(query @ key.transpose(1, 2) + away, dim=-1)
        return self.norm(hidden + self.out(shares @ value, task_id))


def test_adapters_as_torchs_exporter_writes_them_are_taken_out(tmp_path: Path) -> None:
    torch.manual_seed(1)
    reference = Encoder().eval()
    rows = [[0, 4, 9, 11, 2], [0, 5, 2]]
    example = (torch.tensor([rows[0]]), torch.ones(1, 5, dtype=torch.int64), torch.tensor(1))
    names = ["input_ids", "attention_mask", "task_id"]
    dynamic = {name: {0: "batch", 1: "length"} for name in names[:2]}
    source = tmp_path / "published.onnx"
    torch.onnx.export(
        reference, example, str(source), input_names=names, output_names=["text_embeds"], dynamic_axes=dynamic,
        opset_version=17, dynamo=False,
    )  # fmt: skip
    split(source, tmp_path / "split.onnx", 5)
    tasks = [str(number) for number in range(5)]
    model = OnnxModel(open_session(tmp_path / "split.onnx"), tokenizer(), max_length=32, tasks=tasks)
    for number, task in enumerate(tasks):
        for row in rows:
            with torch.no_grad():
                mean = reference(torch.tensor([row]), torch.ones(1, len(row)), torch.tensor(number))[0].mean(0)
            assert np.abs(model.run([row], task)[0] - (mean / mean.norm()).numpy()).max() < 1e-4
