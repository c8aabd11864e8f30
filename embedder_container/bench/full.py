"""The long benchmark: batching policies, sweeps of the settings, memory over random shapes, jina-v3 in full size."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import psutil

from embedder.batches import Limits, next_batch
from embedder.model import OnnxModel, load_model

from . import jina
from .load import Row, drive
from .results import machine
from .servers import ours
from .texts import MIXES, words

__all__ = ["main", "slope_per_hour"]

Rows = list[list[int]]
Policy = Callable[[Rows], Iterable[Rows]]
#: The number of waiting texts from which a policy chooses.
WAITING, QUEUES = 100, 4
BUDGETS, LIMITS = (256, 384, 512, 1024, 2048, 4096, 8192), (64, 128, 256)
PLACES = ({"threads": 1}, {"threads": 2}, {"threads": 4}, {"threads": 1, "processes": 2})


def main(options: argparse.Namespace) -> int:
    """Run the chosen parts; print and save after each."""
    parts: dict[str, Callable[[argparse.Namespace], object]] = {
        "policies": _policies,
        "sweep": _sweep,
        "shapes": lambda given: asyncio.run(_shapes(given)),
        "jina": lambda given: jina.compare(_folder(given.out / "jina")),
    }
    found: dict[str, object] = {"machine": machine()}
    for name, part in parts.items():
        if options.only and name not in options.only:
            continue
        found[name] = part(options)
        print(json.dumps({name: found[name]}, indent=1), flush=True)
        _folder(options.out).joinpath("embedder-full.json").write_text(json.dumps(found, indent=1) + "\n")
    return 0


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _policies(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Measure padding and tokens a second of one thread, for each policy that makes batches of waiting texts."""
    model, _ = load_model(options.model_dir)
    policies: dict[str, Policy] = {
        "in order of arrival, 8 rows": lambda rows: _slices(rows, 8),
        "in order of arrival, 32 rows": lambda rows: _slices(rows, 32),
        "sorted, 32 rows": lambda rows: _slices(sorted(rows, key=len), 32),
        **{f"ours, {budget} tokens": _ours(budget) for budget in (128, 256, 384, 512, 1024)},
    }
    found: dict[str, dict[str, float]] = {}
    for mix, text in MIXES.items():
        source = random.Random(1)
        queues = [model.tokenize([text(source) for _ in range(WAITING)]) for _ in range(QUEUES)]
        for name, policy in policies.items():
            found[f"{mix}: {name}"] = _apply(model, [list(policy(rows)) for rows in queues], options.seconds)
    return found


def _apply(model: OnnxModel, queues: Sequence[Sequence[Rows]], seconds: float) -> dict[str, float]:
    batches = [batch for queue in queues for batch in queue]
    useful = sum(len(row) for batch in batches for row in batch)
    padded = sum(len(batch) * max(map(len, batch)) for batch in batches)
    until, cpu, tokens = time.monotonic() + seconds, time.process_time(), 0
    while time.monotonic() < until:
        for batch in batches:
            model.run(batch)
        tokens += useful
    return {
        "padding_share": round(1 - useful / padded, 3),
        "tokens_per_cpu_second": round(tokens / (time.process_time() - cpu)),
    }


def _slices(rows: Rows, size: int) -> Iterable[Rows]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _ours(budget: int) -> Policy:
    def batches(rows: Rows) -> Iterable[Rows]:
        queue = [Row(row) for row in rows]
        while (cut := next_batch(queue, Limits(tokens=budget))).rows:
            yield [row.ids for row in cut.rows]
            queue = cut.rest

    return batches


def _sweep(options: argparse.Namespace) -> dict[str, dict[str, float | None]]:
    """Measure the service at a hundred clients, by token and row limits, then by threads and processes."""
    cases: list[dict[str, int]] = [{"batch_tokens": budget, "batch_rows": 256} for budget in BUDGETS]
    cases += [{"batch_tokens": 8192, "batch_rows": rows} for rows in LIMITS[:-1]]
    cases += [dict(place) for place in PLACES]
    found: dict[str, dict[str, float | None]] = {}
    for case in cases:
        label = ", ".join(f"{name} {value}" for name, value in case.items())
        with ours(options.model_dir, **case) as target:
            figures: dict[str, float | None] = {}
            for mix, text in MIXES.items():
                run = drive(target, text, clients=100, seconds=options.seconds, seed=0)
                got = asyncio.run(run)
                figures |= {f"{mix} req/s": got.per_second, f"{mix} CPU ms": got.cpu_per_request}
            found[label] = figures
            print(label, figures, file=sys.stderr)
    return found


async def _shapes(options: argparse.Namespace) -> dict[str, float]:
    """Send requests of random lengths for ``minutes``, and measure the growth of memory in the second half."""

    def text(source: random.Random) -> str:
        return words(source, source.choice((1, 3, 10, 30, 100, 300)))

    samples: list[tuple[float, float]] = []
    errors, began = 0, time.monotonic()
    with ours(options.model_dir) as target:
        process = psutil.Process(target.pid)
        while time.monotonic() < began + options.minutes * 60:
            got = await drive(target, text, clients=random.choice((1, 5, 50)), seconds=5, seed=len(samples))
            errors += got.errors
            samples.append((time.monotonic() - began, process.memory_info().rss / 1e6))
    settled = samples[len(samples) // 2 :]
    return {
        "minutes": options.minutes,
        "errors": errors,
        "first_mb": round(samples[0][1]),
        "last_mb": round(samples[-1][1]),
        "mb_per_hour": round(slope_per_hour(settled), 1),
    }


def slope_per_hour(samples: Sequence[tuple[float, float]]) -> float:
    """Return the growth in an hour, by least squares of (seconds, value)."""
    if len(samples) < 2:
        return 0.0
    seconds, values = np.array(samples).T
    return float(np.polyfit(seconds, values, 1)[0]) * 3600
