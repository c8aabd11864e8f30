"""The whole emulator is killed repeatedly while a queue feeds a function: every message is processed, in order."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.emulator.launching import WAIT_SECONDS, Launched, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# Nothing that was in flight may wait for the visibility time-out: the emulator's start shows it again.
TEMPLATE = """
Resources:
  Eat:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code
      Handler: app.handler
      Timeout: 60
      Events: {Work: {Type: SQS, Properties: {Queue: !GetAtt Work.Arn, BatchSize: 1}}}
  Work:
    Type: AWS::SQS::Queue
    Properties:
      FifoQueue: true
      VisibilityTimeout: 3600
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 1000}
  Dead: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true}}
"""
EAT = """
import os
from pathlib import Path
EATEN = os.open(Path(__file__).with_name("eaten"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def handler(event, context):
    for record in event["Records"]:
        os.write(EATEN, (record["body"] + "\\n").encode())
"""
GROUPS, EACH = "abc", 25
#: Killed when so many lines are eaten.
KILLED_AT = (5, 25, 50)


class Kitchen:
    """The emulator on one folder, as often as it is started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "code").mkdir()
        (folder / "code" / "app.py").write_text(textwrap.dedent(EAT))
        (folder / "template.yaml").write_text(TEMPLATE)
        self.url = ""
        self.start()

    def start(self) -> None:
        self._running = Launched(self._folder / "template.yaml", "--state", str(self._folder / "state"))
        self.url = self._running.ready()["queue"]

    def kill(self) -> None:
        self._running.process.kill()
        self._running.process.communicate()

    def stop(self) -> None:
        self._running.stop()

    def eaten(self) -> list[str]:
        file = self._folder / "code" / "eaten"
        return file.read_text().splitlines() if file.exists() else []

    def depth(self) -> int:
        queues = httpx.get(f"{self.url}/_emulator/status").json()["queues"]
        return sum(count for depths in queues.values() for count in depths.values())

    def send(self, group: str) -> None:
        """All messages of a group, each until it is acknowledged."""
        for number in range(EACH):
            while not self._sent(f"{group}{number:02d}"):
                time.sleep(0.01)

    def _sent(self, body: str) -> bool:
        url, message = self.url, {"MessageBody": body, "MessageGroupId": body[0], "MessageDeduplicationId": body}
        try:
            answer = client_of(url).send_message(QueueUrl=f"{url}/123456789012/Work.fifo", **message)
        except (BotoCoreError, ClientError):
            return False
        return "MessageId" in answer  # half an answer is none


@cache
def client_of(url: str) -> Any:
    config = Config(retries={"total_max_attempts": 1}, read_timeout=WAIT_SECONDS)
    return boto3.client(
        "sqs",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=config,
    )


@pytest.fixture
def kitchen(tmp_path: Path) -> Iterator[Kitchen]:
    made = Kitchen(tmp_path)
    yield made
    made.stop()


def test_an_emulator_killed_again_and_again_works_off_every_message_in_order(kitchen: Kitchen) -> None:
    with ThreadPoolExecutor(len(GROUPS)) as pool:
        senders = [pool.submit(kitchen.send, group) for group in GROUPS]
        for lines in KILLED_AT:
            wait_until(lambda lines=lines: len(kitchen.eaten()) >= lines)
            kitchen.kill()
            kitchen.start()
        for sender in senders:
            sender.result(WAIT_SECONDS)
    wait_until(lambda: kitchen.depth() == 0)
    eaten = kitchen.eaten()
    for group in GROUPS:
        first = list(dict.fromkeys(body for body in eaten if body[0] == group))
        assert first == [f"{group}{number:02d}" for number in range(EACH)]
    # Again comes only what was in a function's hands, at most one message of each group.
    assert len(eaten) - len(set(eaten)) <= len(KILLED_AT) * len(GROUPS)
