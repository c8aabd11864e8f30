"""Clients and functions that misbehave, and an emulator that is killed."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
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

from local.emulator.http_protocol import MAX_HEAD_BYTES
from tests.emulator.conftest import HELLO
from tests.emulator.fidelity import assumed, documented, own
from tests.emulator.launching import WAIT_SECONDS, Launched, alive, wait_until

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
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


@assumed("the size is documented (http-api-quotas), the status is not")
def test_headers_beyond_ten_kilobytes_are_a_431(start: Any) -> None:
    running = start(code__app=SLEEP)
    answer = running.http.get("/", headers={f"x-{n}": "1" for n in range(2000)})
    assert (answer.status_code, answer.json()) == (431, {"message": "Request Header Fields Too Large"})


@assumed("the size is documented (http-api-quotas), the status is not")
def test_ten_thousand_headers_are_a_431(start: Any) -> None:
    running = start(code__app=SLEEP)
    with connect(running.gateway) as client, contextlib.suppress(ConnectionError):
        lines = "".join(f"x-{number}: {number}\r\n" for number in range(10_000))
        client.sendall(f"GET / HTTP/1.1\r\nhost: localhost\r\n{lines}\r\n".encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 431 ")
    assert running.http.get("/").text == "ok"


@pytest.mark.parametrize("door", ["gateway", "queue_url"])
@pytest.mark.parametrize("sent", ["GET /", "GET / HTTP/1.1\r\nhost: localhost\r\na: "])
@own("fault")
def test_a_head_that_does_not_end_is_a_431_after_64_kilobytes(start: Any, door: str, sent: str) -> None:
    running = start(code__app=SLEEP)
    with connect(getattr(running, door)) as client:
        client.sendall(sent.encode() + b"a" * 2 * MAX_HEAD_BYTES)
        assert client.recv(4096).startswith(b"HTTP/1.1 431 ")
    assert running.http.get("/").text == "ok"


@documented("API Gateway: http-api-quotas")
def test_a_body_of_twenty_megabytes_is_a_413(start: Any) -> None:
    running = start(code__app=SLEEP)
    answer = running.http.post("/", content=b"x" * 20_000_000)
    assert (answer.status_code, answer.json()) == (413, {"message": "Request Entity Too Large"})
    assert running.http.get("/").text == "ok"


@pytest.mark.parametrize("sent", ["GET / HTT", "GET / HTTP/1.1\r\nhost: localhost\r\nx-a", "\x00\x01 garbage\r\n\r\n"])
@own("fault")
def test_half_a_head_or_garbage_holds_up_nobody(start: Any, sent: str) -> None:
    running = start(code__app=SLEEP)
    with connect(running.gateway) as half:
        half.sendall(sent.encode())
        assert running.http.get("/").text == "ok"
    assert running.http.get("/").text == "ok"


@own("fault")
def test_half_a_request_holds_up_nobody(start: Any) -> None:
    running = start(code__app=SLEEP)
    with connect(running.gateway) as half:
        half.sendall(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nhalf")
        assert running.http.get("/").text == "ok"
    assert running.http.get("/").text == "ok"
    assert running.log().count("START") <= 2


@own("fault")
def test_a_client_that_leaves_a_long_poll_takes_no_message_with_it(start: Any) -> None:
    running = start("Resources: {Q: {Type: AWS::SQS::Queue}}")
    sqs = running.sqs()
    url = sqs.get_queue_url(QueueName="Q")["QueueUrl"]
    body = json.dumps({"QueueUrl": url, "WaitTimeSeconds": 20})
    with connect(running.queue_url) as client:
        assert running.status()["receivers"].get("Q", 0) == 0
        host = running.queue_url.removeprefix("http://")
        head = f"POST / HTTP/1.1\r\nhost: {host}\r\nx-amz-target: AmazonSQS.ReceiveMessage\r\n"
        client.sendall(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
        running.eventually(lambda: running.status()["receivers"]["Q"] == 1)
    running.eventually(lambda: running.status()["receivers"]["Q"] == 0)
    sqs.send_message(QueueUrl=url, MessageBody="a")
    assert sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2)["Messages"][0]["Body"] == "a"


@own("fault")
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


@own("fault")
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


@own("fault")
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
    sqs.close()
    second, line = launch(template, tmp_path / "state")
    with contextlib.closing(client_of(line["queue"])) as again:
        found = drain(again)
    second.terminate()
    second.wait(WAIT_SECONDS)
    assert acknowledged
    assert set(acknowledged) <= found


SENDER = """
import boto3, os
SQS = boto3.client("sqs")
def handler(event, context):
    SQS.send_message(QueueUrl=os.environ["WORK"], MessageBody=event["queryStringParameters"]["n"])
    return "sent"
"""
FED = HELLO.replace("Handler: app.handler", "Handler: app.handler\n      Environment: {Variables: {WORK: !Ref Q}}")


@own("fault")
def test_an_emulator_killed_amid_fifty_requests_leaves_no_process_and_loses_nothing_acknowledged(
    project: Callable[..., Path], tmp_path: Path
) -> None:
    template = project(FED + "  Q: {Type: AWS::SQS::Queue}", code__app=SENDER)
    first = Launched(template, "--state", str(tmp_path / "state"))
    url, acknowledged = first.ready()["gateway"], set[str]()
    killed = threading.Event()

    def ask(number: int) -> None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/?n={number}", timeout=WAIT_SECONDS).text == "sent":
                acknowledged.add(str(number))
                if len(acknowledged) == 10:
                    children.extend(first.children())
                    first.process.kill()
                    killed.set()

    children: list[int] = []
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(50)))
    assert killed.is_set()
    first.process.communicate()
    wait_until(lambda: not any(alive(pid) for pid in children))
    second = Launched(template, "--state", str(tmp_path / "state"))
    line = second.ready()
    assert httpx.get(f"{line['gateway']}/?n=after", timeout=WAIT_SECONDS).text == "sent"
    with contextlib.closing(client_of(line["queue"])) as sqs:
        found = drain(sqs, "Body")
    _, errors = second.stop()
    assert "Traceback" not in errors
    assert len(acknowledged) >= 10
    assert acknowledged | {"after"} <= found
    assert found <= {"after", *map(str, range(50))}


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


def drain(sqs: Any, key: str = "MessageId") -> set[str]:
    url = sqs.get_queue_url(QueueName="Q")["QueueUrl"]
    found: set[str] = set()
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found |= {message[key] for message in messages}
    return found


STOPPED = """
import os, signal, time
HERE = os.path.dirname(__file__)
def end(number, frame):
    open(os.path.join(HERE, "told"), "w").close()
    raise SystemExit(0)
signal.signal(signal.SIGTERM, end)
def handler(event, context):
    open(os.path.join(HERE, "works"), "w").close()
    while True: time.sleep(0.01)
"""


@own("on AWS, only functions with an extension get SIGTERM")
def test_a_function_that_works_is_told_to_end_before_it_is_killed(start: Any, tmp_path: Path) -> None:
    running = start(code__app=STOPPED)
    running.later("/")
    running.eventually((tmp_path / "code" / "works").exists)
    running.stop()
    assert (tmp_path / "code" / "told").exists()
