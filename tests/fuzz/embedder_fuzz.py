"""Changed requests to the embedding service, a process with a tiny model: no 5xx, and it still answers afterwards."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import httpx

from tests.embedder import tiny
from tests.embedder.conftest import start
from tests.fuzz.random_json import mutated
from tests.fuzz.targets import FaultFoundError

__all__ = ["EmbedderFuzz"]

_REQUESTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/v1/embeddings", {"input": ["the cat", "dog"], "model": "tiny", "encoding_format": "float", "user": "u"}),
    ("/v1/embeddings", {"input": "the cat", "task": "retrieval.query", "dimensions": 4, "encoding_format": "base64"}),
    ("/v1/embeddings", {"input": [[1, 2, 3], [4]], "truncate": True}),
    ("/embed", {"inputs": ["the cat"], "normalize": True, "truncate": True}),
    ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["b", "c"]}, "parameters": {"truncate": True}}),
    ("/", {"inputs": {"source_sentence": "a", "sentences": ["b"]}, "parameters": None}),
    ("/tokenize", {"inputs": "the cat sat", "add_special_tokens": True}),
)


class EmbedderFuzz:
    """Both dialects of the embedding service."""

    name = "embedder"

    def __init__(self, folder: Path) -> None:
        (folder / "model").mkdir()
        self._served = start(tiny.build(folder / "model"))
        self._client = httpx.Client(base_url=self._served.url, timeout=30, trust_env=False)
        self._asked = 0

    def case(self, rng: random.Random) -> str:
        path, body = rng.choice(_REQUESTS)
        content = json.dumps(mutated(rng, body)).encode("utf-8", "surrogatepass")
        if rng.random() < 0.05:
            content = content[: rng.randrange(len(content) + 1)] + b"\xff"
        # Half of the requests may send token ids.
        headers = {"content-type": "application/json"} | ({"x-token-ids": "own"} if rng.random() < 0.5 else {})
        answer = self._client.post(path, content=content, headers=headers)
        if answer.status_code >= 500:
            raise FaultFoundError(f"{path} {content!r}: {answer.status_code} {answer.text[:500]}")
        self._asked += 1
        if self._asked % 100 == 0 and self._client.get("/ready").status_code != 200:
            raise FaultFoundError(f"the service is not ready after {path} {content!r}")
        return f"{answer.status_code // 100}xx"

    def close(self) -> None:
        self._client.close()
        self._served.process.terminate()
        self._served.process.wait()
        if self._served.process.stdout is not None:
            self._served.process.stdout.close()
