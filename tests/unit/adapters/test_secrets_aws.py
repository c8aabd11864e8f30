"""Secrets by ARN: read at first use through Secrets Manager (moto) and cached for minutes; plain text stays."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from forgetless.adapters.llm_http import HttpLlm
from forgetless.adapters.secrets_aws import AwsSecret, secret, shown
from forgetless.domain.errors import DependencyError
from forgetless.ports.llm import ChatMessage
from forgetless.runtime.composition import build_services
from forgetless.runtime.settings import Settings
from tests.unit.servers import Answer, in_turn, serve

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:missing-AbCdEf"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def manager(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Manager:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return Manager(endpoint)


class Manager:
    """Secrets Manager's own side."""

    def __init__(self, endpoint: str) -> None:
        self._client = boto3.client("secretsmanager", endpoint_url=endpoint, region_name="eu-central-1")
        self._count = 0

    def create(self, text: str) -> str:
        name = f"secret-{len(self._client.list_secrets(MaxResults=100)['SecretList'])}"
        return str(self._client.create_secret(Name=name, SecretString=text)["ARN"])

    def rotate(self, arn: str, text: str) -> None:
        self._client.put_secret_value(SecretId=arn, SecretString=text)

    def delete(self, arn: str) -> None:
        self._client.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)


@pytest.mark.parametrize("plain", ["", "root:Milvus", "sk-123", "arn:aws:s3:::bucket"])
def test_a_plain_secret_is_itself(plain: str) -> None:
    assert shown(secret("X", plain)) == plain


def test_an_arn_is_read_at_first_use_and_kept(manager: Manager) -> None:
    arn = manager.create("first")
    held = secret("OPENAI_API_KEY", arn)
    assert shown(held) == "first"
    manager.rotate(arn, "second")
    assert shown(held) == "first"


def test_a_rotated_secret_is_taken_up_when_the_kept_one_is_too_old(manager: Manager) -> None:
    arn = manager.create("first")
    held = AwsSecret("OPENAI_API_KEY", arn, max_age_s=0)
    assert held() == "first"
    manager.rotate(arn, "second")
    assert held() == "second"


def test_a_secret_that_cannot_be_read_again_stays_as_it_was(manager: Manager) -> None:
    arn = manager.create("first")
    held = AwsSecret("OPENAI_API_KEY", arn, max_age_s=0)
    assert held() == "first"
    manager.delete(arn)
    assert held() == "first"


@pytest.mark.usefixtures("manager")
def test_a_secret_that_is_not_there_is_an_error_that_names_the_variable() -> None:
    with pytest.raises(DependencyError, match=r"OPENAI_API_KEY: .*ResourceNotFoundException"):
        shown(secret("OPENAI_API_KEY", ARN))


def test_the_llm_gets_the_secrets_text(manager: Manager) -> None:
    arn = manager.create("sk-real")
    with serve(in_turn(Answer(body={"choices": [{"message": {"content": "hi"}}]}))) as server:
        llm = HttpLlm(server.url, model="m", api_key=secret("OPENAI_API_KEY", arn))
        llm.complete([ChatMessage("user", "hi")], deadline_s=10)
        llm.close()
    assert server.requests[0].headers["authorization"] == "Bearer sk-real"


def test_services_are_composed_without_reading_a_secret(tmp_path: Path) -> None:
    ledger = str(tmp_path / "ledger.db")
    build_services(Settings(ledger_path=ledger, milvus_token=ARN, embedder_api_key=ARN, llm_api_key=ARN, llm_model="m"))


def test_neither_boto3_nor_the_reader_is_loaded_for_plain_secrets() -> None:
    script = (
        "import sys; from forgetless.adapters.secrets_aws import secret, shown; shown(secret('X', 'plain'));"
        "sys.exit('boto3' in sys.modules or 'aws_lambda_powertools' in sys.modules)"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    assert subprocess.run([sys.executable, "-c", script], env=environment, check=False).returncode == 0
