"""Drives servers with closed-loop clients over keep-alive connections, and ONNX Runtime with the same texts."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from embedder.batches import Limits, next_batch
from embedder.model import load_model

from .texts import Text

__all__ = ["Figures", "Row", "Target", "drive", "raw_ceiling"]


@dataclass(frozen=True, slots=True)
class Target:
    """A server to measure; ``pid`` is set if its CPU time can be read."""

    name: str
    host: str
    port: int
    path: str
    model: str
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one measurement; times are in milliseconds."""

    per_second: float
    p50: float | None = None
    p99: float | None = None
    cpu_per_request: float | None = None
    errors: int = 0


async def drive(target: Target, text: Text, *, clients: int, seconds: float, seed: int) -> Figures:
    """Keep ``clients`` requests open for ``seconds``; each client sends its next one when answered."""
    latencies: list[float] = []
    failures: list[bytes] = []
    connections = [await asyncio.open_connection(target.host, target.port) for _ in range(clients)]
    before = _cpu(target.pid)
    started = time.monotonic()

    async def client(number: int) -> None:
        source = random.Random(f"{seed}-{number}")
        reader, writer = connections[number]
        # At least one request is measured, however short the time is.
        sent = started
        while not latencies or sent < started + seconds:
            status = await _ask(reader, writer, target, text(source))
            latencies.append(time.monotonic() - sent)
            if status != b"200":
                failures.append(status)
            sent = time.monotonic()
        writer.close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    elapsed = time.monotonic() - started
    after = _cpu(target.pid)
    latencies.sort()
    count = len(latencies)
    return Figures(
        per_second=round(count / elapsed, 1),
        p50=round(latencies[count // 2] * 1000, 1),
        p99=round(latencies[int(count * 0.99)] * 1000, 1),
        cpu_per_request=None if before is None or after is None else round((after - before) / count * 1000, 2),
        errors=len(failures),
    )


def raw_ceiling(model_dir: Path, text: Text, *, threads: int, seconds: float, seed: int) -> Figures:
    """Run tokenised texts, a hundred at a time, through the model without HTTP, queue and tokenizer."""
    model, _ = load_model(model_dir)
    source = random.Random(seed)
    rows = model.tokenize([text(source) for _ in range(400)])
    batches: list[list[list[int]]] = []
    for start in range(0, len(rows), 100):
        queue = sorted((Row(row) for row in rows[start : start + 100]), key=lambda row: row.tokens)
        while (cut := next_batch(queue, Limits())).rows:
            batches.append([row.ids for row in cut.rows])
            queue = cut.rest
    began, cpu = time.monotonic(), time.process_time()
    counts = [0] * threads

    def work(number: int) -> None:
        for batch in itertools.cycle(batches[number::threads]):
            model.run(batch)
            counts[number] += len(batch)
            if time.monotonic() >= began + seconds:
                return

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    spent = (time.process_time() - cpu) * 1000 / sum(counts)
    return Figures(per_second=round(sum(counts) / (time.monotonic() - began), 1), cpu_per_request=round(spent, 2))


@dataclass(eq=False, slots=True)
class Row:
    """The token ids of a text from which a batch is chosen."""

    ids: list[int]
    group: str = ""
    cancelled: bool = False

    @property
    def tokens(self) -> int:
        return len(self.ids)


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Target, text: str) -> bytes:
    body = json.dumps({"input": text, "model": target.model}).encode()
    head = (
        f"POST {target.path} HTTP/1.1\r\nHost: {target.host}:{target.port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    answer = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = answer.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]
    await reader.readexactly(int(length))
    return answer.split(b" ", 2)[1]


def _cpu(pid: int | None) -> float | None:
    if pid is None:
        return None
    parent = psutil.Process(pid)
    times = [process.cpu_times() for process in (parent, *parent.children(recursive=True))]
    return sum(each.user + each.system for each in times)
