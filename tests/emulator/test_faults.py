"""Clients and functions that misbehave, and an emulator that is killed."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
WAIT_SECONDS = 60.0
HELD = """
import os, time
def handler(event, context):
    while not os.path.exists(os.path.join(os.path.dirname(__file__), "go")): time.sleep(0.01)
    return os.getpid()
"""
SLEEP = "import time\ndef handler(event, context):\n    time.sleep(0.02); return 'ok'"


def connect(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname or "", address.port or 0), timeout=WAIT_SECONDS)


def test_headers_beyond_ten_kilobytes_are_a_431(start: Any) -> None:
    running = start(code__app=SLEEP)
    answer = running.http.get("/", headers={f"x-{n}": "1" for n in range(2000)})
    assert (answer.status_code, answer.json()) == (431, {"message": "Request Header Fields Too Large"})


def test_half_a_request_holds_up_nobody(start: Any) -> None:
    running = start(code__app=SLEEP)
    with connect(running.gateway) as half:
        half.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf")
        assert running.http.get("/").text == "ok"
    assert running.http.get("/").text == "ok"
    assert running.log().count("START") <= 2


def test_a_client_that_leaves_a_long_poll_takes_no_message_with_it(start: Any) -> None:
    running = start("Resources: {Q: {Type: AWS::SQS::Queue}}")
    sqs = running.sqs()
    url = sqs.get_queue_url(QueueName="Q")["QueueUrl"]
    body = json.dumps({"QueueUrl": url, "WaitTimeSeconds": 20})
    with connect(running.queue_url) as client:
        assert running.status()["receivers"].get("Q", 0) == 0
        head = f"POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: AmazonSQS.ReceiveMessage\r\ncontent-length: {len(body)}"
        client.sendall(f"{head}\r\n\r\n{body}".encode())
        running.eventually(lambda: running.status()["receivers"]["Q"] == 1)
    running.eventually(lambda: running.status()["receivers"]["Q"] == 0)
    sqs.send_message(QueueUrl=url, MessageBody="a")
    assert sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2)["Messages"][0]["Body"] == "a"


def test_two_hundred_clients_share_five_environments(start: Any, tmp_path: Path) -> None:
    running = start(settings={"max_environments": 5}, code__app=HELD)
    limits = httpx.Limits(max_connections=200)
    with ThreadPoolExecutor(200) as pool, httpx.Client(base_url=running.gateway, timeout=60, limits=limits) as client:
        answers = [pool.submit(client.get, "/") for _ in range(200)]
        running.wait_for(busy=5, waiting=195)
        (tmp_path / "code" / "go").touch()
        pids = [answer.result().json() for answer in answers]
    assert len(pids) == 200
    assert len(set(pids)) == 5


def test_a_function_that_floods_its_log_still_answers(start: Any) -> None:
    code = """
        def handler(event, context):
            for n in range(20000):
                print("line", n)
            print("x" * 500_000)
            return "ok"
        """
    running = start(code__app=code)
    assert running.http.get("/").text == "ok"
    log = running.logged("REPORT")
    assert log.count(" line ") == 20000
    assert max(map(len, log.splitlines())) < 263_000


def test_a_killed_emulator_loses_no_acknowledged_message(project: Callable[..., Path], tmp_path: Path) -> None:
    template = project("Resources: {Q: {Type: AWS::SQS::Queue}}")
    first, line = launch(template, tmp_path / "state")
    sqs = client_of(line["queue"])
    url = sqs.get_queue_url(QueueName="Q")["QueueUrl"]
    acknowledged: list[str] = []

    def send(number: int) -> None:
        if number == 30:
            first.send_signal(signal.SIGKILL)
        # The emulator may be gone, or half an answer come: only what it acknowledged counts.
        with contextlib.suppress(BotoCoreError, ClientError):
            answer = sqs.send_message(QueueUrl=url, MessageBody=str(number))
            acknowledged.extend([answer["MessageId"]] if "MessageId" in answer else [])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(50)))
    first.wait(WAIT_SECONDS)
    second, line = launch(template, tmp_path / "state")
    found = drain(client_of(line["queue"]))
    second.terminate()
    second.wait(WAIT_SECONDS)
    assert acknowledged
    assert set(acknowledged) <= found


def launch(template: Path, state: Path) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    command = [sys.executable, "-m", "local.emulator", "--template", str(template), "--state", str(state)]
    command += ["--port", "0", "--queue-port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        return process, json.loads(process.stdout.readline())


def client_of(url: str) -> Any:
    return boto3.client(
        "sqs", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=WAIT_SECONDS, read_timeout=WAIT_SECONDS),
    )  # fmt: skip


def drain(sqs: Any) -> set[str]:
    url = sqs.get_queue_url(QueueName="Q")["QueueUrl"]
    found: set[str] = set()
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found |= {message["MessageId"] for message in messages}
    return found
