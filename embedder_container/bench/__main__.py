"""Command line: ``python -m bench --model-dir DIR [--infinity PROGRAM]``; run it from ``embedder_container``."""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import psutil

from . import full
from .load import Figures, Target, drive, raw_ceiling
from .results import Results, machine, save, show
from .servers import INFINITY, OURS, infinity, ours, published_folder
from .texts import MIXES

CLIENTS = (1, 20, 100)
CEILING = "raw ONNX Runtime"
Runs = dict[tuple[str, str], list[Figures]]


def main() -> int:
    """Measure, print a table and save it; the last line is the one that scripts read."""
    options = _parser().parse_args()
    return full.main(options) if options.full else _compare(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--model-dir", type=Path, required=True, help="folder made by embedder prepare")
    parser.add_argument("--seconds", type=float, default=8, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=2, help="number of measurements of each; the median counts")
    parser.add_argument("--out", type=Path, default=Path("bench-results"), help="folder for JSON, Markdown and SVG")
    parser.add_argument("--infinity", type=Path, help="program infinity_emb of an environment that has it")
    parser.add_argument("--full", action="store_true", help="policies, sweeps, random shapes and jina-v3 instead")
    parser.add_argument("--minutes", type=float, default=30, help="with --full: length of the random shapes")
    parser.add_argument("--only", nargs="*", default=[], help="with --full: only these parts")
    return parser


def _compare(options: argparse.Namespace) -> int:
    began, surroundings = time.monotonic(), machine()
    with ExitStack() as stack:
        targets = [stack.enter_context(ours(options.model_dir))]
        if options.infinity:
            folder = published_folder(options.model_dir.name, options.model_dir.parent)
            targets.append(stack.enter_context(infinity(options.infinity, folder)))
        results = asyncio.run(_measure(targets, options))
        memory = {target.name: _resident(target) for target in targets}
    others = {"machine": surroundings, "rss_mb": memory, "seconds": round(time.monotonic() - began)}
    save(options.out, "embedder", results, others)
    show(results)
    print("resident memory: " + ", ".join(f"{name} {value} MB" for name, value in memory.items()))
    peer = INFINITY if INFINITY in results else CEILING
    for case in ("mixed@100", "short@100"):
        share = results[OURS][case].per_second / results[CEILING][case].per_second
        print(f"share of raw ONNX Runtime {case}: {share:.2f}")
    for case in ("mixed@100", "short@100"):
        ratio = results[OURS][case].per_second / results[peer][case].per_second
        print(f"ratio {case}: {ratio:.2f}")
    return 0


async def _measure(targets: list[Target], options: argparse.Namespace) -> Results:
    runs: Runs = {}
    threads = os.cpu_count() or 1
    for target in targets:
        await drive(target, MIXES["short"], clients=4, seconds=min(2.0, options.seconds), seed=-1)
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
    results: Results = {target.name: {} for target in targets}
    for (name, case), repeats in runs.items():
        results.setdefault(name, {})[case] = _median(repeats)
    return results


def _median(repeats: list[Figures]) -> Figures:
    """Return the median of each figure; errors are added up."""

    def middle(field: str) -> float | None:
        values = [value for each in repeats if (value := getattr(each, field)) is not None]
        return round(statistics.median(values), 2) if values else None

    return Figures(
        per_second=middle("per_second") or 0.0,
        p50=middle("p50"),
        p99=middle("p99"),
        cpu_per_request=middle("cpu_per_request"),
        errors=sum(each.errors for each in repeats),
    )


def _resident(target: Target) -> int:
    process = psutil.Process(target.pid)
    return round(sum(each.memory_info().rss for each in (process, *process.children(recursive=True))) / 1e6)


if __name__ == "__main__":
    sys.exit(main())
