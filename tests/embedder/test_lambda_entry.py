"""The service as a Lambda function: one process, several invocations, the same answers as over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.embedder.conftest import Served

PROGRAM = """
import json, sys
from embedder.lambda_entry import handler
for line in sys.stdin:
    print(json.dumps(handler(json.loads(line), None)), flush=True)
"""


def event(path: str, body: object, **headers: str) -> str:
    """A function URL's event."""
    http = {"method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "test"}
    made = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "embedder", **headers},
        "requestContext": {"http": http, "requestId": "1", "stage": "$default"},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }
    return json.dumps(made)


def test_it_answers_as_the_server_does_time_after_time(model_dir: Path, server: Served) -> None:
    bodies = [{"model": "tiny", "input": text} for text in ("one", ["two", "three"])]
    sent = [event("/v1/embeddings", body, authorization="Bearer k") for body in bodies]
    sent.append(event("/v1/embeddings", bodies[0]))
    environment = os.environ | {"EMBEDDER_MODEL_DIR": str(model_dir), "EMBEDDER_API_KEY": "k"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        input="\n".join(sent),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *answers, refused = [json.loads(line) for line in done.stdout.splitlines()]
    for body, answer in zip(bodies, answers, strict=True):
        assert answer["statusCode"] == 200
        assert json.loads(answer["body"])["data"] == server.post("/v1/embeddings", json=body).json()["data"]
    assert refused["statusCode"] == 401
