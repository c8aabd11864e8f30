"""The command line: ``prepare`` makes a model folder, ``serve`` answers from it, ``check`` asks."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .errors import EmbedderError

__all__ = ["main"]

#: A model could not be prepared or the service could not start; the reason is one line on stderr.
EXIT_FAILED = 1

EPILOG = """examples:
  python -m embedder prepare --model all-MiniLM-L6-v2 --out models/all-MiniLM-L6-v2
  python -m embedder serve --model-dir models/all-MiniLM-L6-v2 --port 7997
  python -m embedder check --port 7997
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code; errors that a person can act on are one line."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "prepare":
            return _prepare(options)
        return _check(options) if options.command == "check" else _serve(options)
    except EmbedderError as error:
        print(f"embedder: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m embedder", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    prepare = commands.add_parser("prepare", help="fetch, convert, quantise and verify a model")
    prepare.add_argument(
        "--model",
        required=True,
        help="name of a known model, or a folder of a BERT encoder in sentence-transformers' layout",
    )
    prepare.add_argument("--out", required=True, type=Path, help="folder to write")
    prepare.add_argument(
        "--quantize",
        choices=("int8", "int8-rows", "none"),
        help="form of the weights; int8 unless the model's name ends with -rows",
    )
    prepare.add_argument(
        "--fold",
        metavar="TASKS",
        help="tasks with commas that get a graph each, faster but as large as one for all "
        "(retrieval.query,retrieval.passage); the folder has no others",
    )
    serve = commands.add_parser("serve", help="answer embedding requests over HTTP")
    serve.add_argument("--model-dir", help="folder made by prepare (EMBEDDER_MODEL_DIR)")
    serve.add_argument("--host", help="address to listen on (EMBEDDER_HOST, 127.0.0.1)")
    serve.add_argument("--port", help="port to listen on (EMBEDDER_PORT, 7997)")
    check = commands.add_parser("check", help="ask a running service whether it is ready (exit code 0 or 1)")
    check.add_argument("--port", help="its port on this machine (EMBEDDER_PORT, 7997)")
    return parser


def _prepare(options: argparse.Namespace) -> int:
    from .prepare import prepare  # noqa: PLC0415 - onnx is not needed to serve

    fold = tuple(dict.fromkeys(filter(None, (options.fold or "").split(","))))
    manifest = prepare(options.model, options.out, quantization=options.quantize, fold=fold)
    cosine = manifest.agreement
    print(
        f"{manifest.name} is ready in {options.out} ({manifest.quantization}, {manifest.dimensions} dimensions, "
        f"licence {manifest.licence}, cosine to the original min {cosine['min']} mean {cosine['mean']})"
    )
    return 0


def _check(options: argparse.Namespace) -> int:
    import http.client  # noqa: PLC0415 - only this command needs it

    port = options.port or os.environ.get("EMBEDDER_PORT") or "7997"
    try:
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=4)
        connection.request("GET", "/ready")
        status = connection.getresponse().status
        connection.close()
    except (OSError, ValueError) as error:
        print(f"embedder: no answer on port {port}: {error}", file=sys.stderr)
        return EXIT_FAILED
    return 0 if status == 200 else EXIT_FAILED


def _serve(options: argparse.Namespace) -> int:
    from .server import serve  # noqa: PLC0415 - the HTTP server is not needed to prepare
    from .settings import read_settings  # noqa: PLC0415

    settings = read_settings(os.environ, model_dir=options.model_dir, host=options.host, port=options.port)
    serve(settings)
    return 0
