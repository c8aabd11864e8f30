"""Prepares a model of jina-embeddings-v3's true shape with random weights: ``python -m bench.jina_shape --out DIR``.

For measuring load where the real weights cannot be had, or may not be used. Everything that costs time is real: 24
layers of 1024 dimensions, the adapters and prefixes of its five tasks, and its tokenizer, which is XLM-R's. The vectors
mean nothing, so a search finds nothing by meaning.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tokenizers import Tokenizer

from embedder.errors import EmbedderError
from embedder.manifest import TOKENIZER, verify_folder
from embedder.prepare import prepare
from embedder.sources import fetch, find_recipe

from . import standin

__all__ = ["NAME", "make"]

NAME = "jina-v3-shape"
#: The tasks that memories need. A graph for each is faster than one for all five.
FOLDED = standin.TASKS[:2]
#: A model with the same tokenizer, whose package can be had where the model hub cannot.
SAME_TOKENIZER = "multilingual-e5-small"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.jina_shape", description=__doc__)
    parser.add_argument("--out", required=True, type=Path, help="folder to write (0.6 GB; 6 GB while it is made)")
    parser.add_argument("--layers", type=int, default=standin.FULL.layers, help="fewer layers, for a trial")
    parser.add_argument("--fold", action="store_true", help=f"a graph each for {' and '.join(FOLDED)} instead")
    options = parser.parse_args()
    try:
        make(options.out, replace(standin.FULL, layers=options.layers), fold=FOLDED if options.fold else ())
    except EmbedderError as error:
        print(f"embedder: {error}", file=sys.stderr)
        return 1
    print(f"{options.out.name} is ready in {options.out}: random weights, for measuring only")
    return 0


def make(out: Path, shape: standin.Shape = standin.FULL, *, fold: tuple[str, ...] = ()) -> None:
    """Make ``out`` a verified folder of the shape. If it is one already, nothing is done and no network is needed.

    ``fold`` are tasks that get a graph each, as in ``prepare``.
    """
    if out.is_dir() and any(out.iterdir()):
        verify_folder(out)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside the folder and not in /tmp, which may be too small for the float weights.
    with tempfile.TemporaryDirectory(prefix=f".{NAME}-", dir=out.parent) as scratch:
        source = find_recipe(SAME_TOKENIZER)
        print(f"fetching {source.source} for its tokenizer", flush=True)
        tokenizer = Tokenizer.from_file(str(fetch(source, Path(scratch) / "tokenizer") / TOKENIZER))
        print(f"writing random weights of {shape.layers} layers", flush=True)
        name = f"{NAME}-folded" if fold else NAME
        published = standin.write(Path(scratch) / name, shape, tokenizer=tokenizer)
        prepare(str(published), out, fold=fold)


if __name__ == "__main__":
    sys.exit(main())
