"""The scripted providers: an embedder without a model, and an LLM that does what its messages say.

`python -m tests.histories.providers embedder|llm --port PORT`: each is a process that can be killed by itself. The
LLM logs the memories that it has superseded, because the service's answers do not show them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from forgetless.ports.embedder import EmbeddingTask
from tests.fakes.embedder import FakeEmbedder

__all__ = ["DIMENSIONS", "Named", "named_by_llm", "spoken"]

#: A low number, because the tests check which memories are found, not how well.
DIMENSIONS = 32

_DATA = re.compile(r"<data>(.*?)</data>", re.DOTALL)
_SPOKEN = re.compile(r"^Note (?P<text>.+?)(?: instead of (?P<old>\w+))?$", re.DOTALL)

Body = Mapping[str, Any]


def spoken(text: str, *, supersedes: str | None = None) -> str:
    """What a user says so that the LLM notes `text`, in place of every memory that has the word `supersedes`."""
    return f"Note {text}" + (f" instead of {supersedes}" if supersedes else "")


@dataclass(frozen=True, slots=True)
class Named:
    """One fact of one reply of the LLM: the message that it is from, and the texts that it named superseded by it."""

    said: str
    superseded: tuple[str, ...]


def named_by_llm(log: Path) -> list[Named]:
    """All that the LLM has named so far."""
    if not log.exists():
        return []
    lines = log.read_text(encoding="utf-8").splitlines()
    return [Named(one["said"], tuple(one["superseded"])) for one in map(json.loads, lines)]


def _completion(body: Body, log: Path) -> Body:
    """The facts that the new messages of a prompt ask for."""
    match = _DATA.search(str(body["messages"][-1]["content"]))
    data = json.loads(match.group(1)) if match else {}
    existing = {one["number"]: one["text"] for one in data.get("existing_memories", [])}
    facts, named = [], []
    for message in data.get("new_messages", []):
        asked = _SPOKEN.match(message["text"])
        if asked is None:
            continue
        old = [number for number, text in existing.items() if asked["old"] in text.split()]
        facts.append(
            {"text": asked["text"], "attributed_to": "user", "supersedes": old, "sources": [message["number"]]}
        )
        named.append({"said": message["text"], "superseded": [existing[number] for number in old]})
    with log.open("a", encoding="utf-8") as file:
        # Before the service hears of it: whoever is killed now has at worst named what nobody was told.
        file.write("".join(json.dumps(one) + "\n" for one in named))
    content = json.dumps({"facts": facts})
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
    return {"id": "scripted", "object": "chat.completion", "created": 0, "model": "scripted", "choices": [choice]}


def _embeddings(body: Body) -> Body:
    given = body["input"]
    texts: Sequence[str] = [given] if isinstance(given, str) else given
    vectors = FakeEmbedder(DIMENSIONS).embed(texts, EmbeddingTask.PASSAGE)
    data = [{"object": "embedding", "index": place, "embedding": vector} for place, vector in enumerate(vectors)]
    return {"object": "list", "data": data, "model": "scripted", "usage": {"prompt_tokens": 0, "total_tokens": 0}}


def _app(answer: Callable[[Body], Body]) -> Callable[..., Awaitable[None]]:
    """An ASGI application: every POST is answered by `answer`, every GET with an empty object."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raw, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            raw += message.get("body", b"")
            more = message.get("more_body", False)
        reply = json.dumps(answer(json.loads(raw)) if raw else {}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(reply)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": reply})

    return app


def main() -> None:
    """Serve one of the two on 127.0.0.1 until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m tests.histories.providers", description=__doc__)
    parser.add_argument("role", choices=("embedder", "llm"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path, default=Path(os.devnull), help="where the LLM writes what it named")
    options = parser.parse_args()
    app = _app(_embeddings if options.role == "embedder" else lambda body: _completion(body, options.log))
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning", access_log=False, lifespan="off")


if __name__ == "__main__":
    main()
