"""Command line: ``python -m bench --model-dir DIR [--peer NAME=URL]``; run it from ``embedder_container``."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from .load import Figures, Target, drive, raw_ceiling
from .texts import MIXES

CLIENTS = (1, 20, 100)
OURS, CEILING = "embedder", "raw ONNX Runtime"

Results = dict[str, dict[str, Figures]]


def main() -> int:
    """Measure, print a table, save it, and end with the line that a script reads."""
    options = _parser().parse_args()
    process, ours = _start(options.model_dir)
    try:
        targets = [ours, *(_peer(text) for text in options.peer)]
        results = asyncio.run(_measure(targets, options))
        rss = psutil.Process(process.pid).memory_info().rss / 1e6
    finally:
        process.terminate()
        process.wait(40)
    table = _table(results)
    print(table, f"\nresident memory of {OURS}: {rss:.0f} MB")
    _save(options.out, results, table, rss)
    first = targets[1].name if len(targets) > 1 else CEILING
    ratio = results[OURS]["short@100"].per_second / results[first]["short@100"].per_second
    print(f"ratio short@100: {ratio:.2f} (to {first})")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--model-dir", type=Path, required=True, help="folder made by embedder prepare")
    parser.add_argument("--seconds", type=float, default=5, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=2, help="how often each is measured; the median counts")
    parser.add_argument("--out", type=Path, default=Path("bench-results"), help="folder for JSON and Markdown")
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=URL",
        help="another server that runs already: the whole address of its OpenAI-like route, e.g. "
        "infinity=http://127.0.0.1:7998/embeddings#MODEL",
    )
    return parser


def _start(model_dir: Path) -> tuple[subprocess.Popen[str], Target]:
    command = [sys.executable, "-m", "embedder", "serve", "--model-dir", str(model_dir), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own command
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit("the service did not start")
    host, _, port = line.split()[-1].rpartition(":")
    name = json.loads((model_dir / "manifest.json").read_text())["name"]
    return process, Target(OURS, host, int(port), "/v1/embeddings", name, process.pid)


def _peer(text: str) -> Target:
    name, _, address = text.partition("=")
    url = urlsplit(address)
    return Target(name, url.hostname or "127.0.0.1", url.port or 80, url.path, url.fragment or "default")


async def _measure(targets: list[Target], options: argparse.Namespace) -> Results:
    runs: dict[tuple[str, str], list[Figures]] = {}
    threads = os.cpu_count() or 1
    for turn in range(options.rounds):
        for mix, text in MIXES.items():
            ceiling = await asyncio.to_thread(
                raw_ceiling, options.model_dir, text, threads=threads, seconds=options.seconds, seed=turn
            )
            for clients in CLIENTS:
                case = f"{mix}@{clients}"
                runs.setdefault((CEILING, case), []).append(ceiling)
                for target in targets:
                    figures = await drive(target, text, clients=clients, seconds=options.seconds, seed=turn)
                    print(f"{case:10} {target.name:12} {figures.per_second:8} req/s", file=sys.stderr)
                    runs.setdefault((target.name, case), []).append(figures)
    results: Results = {}
    for (name, case), repeats in runs.items():
        ranked = sorted(repeats, key=lambda each: each.per_second)
        results.setdefault(name, {})[case] = ranked[len(ranked) // 2]
    return results


def _table(results: Results) -> str:
    cases = [f"{mix}@{clients}" for mix in MIXES for clients in CLIENTS]
    lines = ["| | " + " | ".join(cases) + " |", "|---" * (len(cases) + 1) + "|"]
    rows = {"req/s": "per_second", "p50 ms": "p50", "p99 ms": "p99", "CPU ms a request": "cpu_per_request"}
    for name, figures in results.items():
        for label, field in rows.items():
            values = [getattr(figures[case], field) for case in cases]
            if any(value is not None for value in values):
                lines.append(f"| {name} {label} | " + " | ".join(str(value) for value in values) + " |")
    return "\n".join(lines)


def _save(folder: Path, results: Results, table: str, rss: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    values = {
        "machine": {"cores": os.cpu_count(), "processor": platform.processor(), "python": platform.python_version()},
        "rss_mb": round(rss),
        "results": {
            name: {case: dataclasses.asdict(each) for case, each in figures.items()}
            for name, figures in results.items()
        },
    }
    (folder / "embedder.json").write_text(json.dumps(values, indent=2) + "\n")
    (folder / "embedder.md").write_text(table + "\n")


if __name__ == "__main__":
    sys.exit(main())
