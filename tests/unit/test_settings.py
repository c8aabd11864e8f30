"""Settings: explicit over environment over default; secrets stay hidden."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.limits import RequestLimits
from forgetless.domain.retention import Retention
from forgetless.runtime.composition import build_erasure_log, build_ledger, collection_name
from forgetless.runtime.settings import Settings, load_settings
from forgetless.runtime.start import check_environment

ROOT = Path(__file__).parents[2]


def test_explicit_wins_over_the_environment_and_that_over_the_default() -> None:
    environ = {"FORGETLESS_EMBEDDING_MODEL": "from-env", "FORGETLESS_EMBEDDING_DIMENSIONS": "8"}
    settings = load_settings(environ, embedding_dimensions=16)
    assert (settings.embedding_model, settings.embedding_dimensions) == ("from-env", 16)
    assert settings.milvus_timeout_s == Settings().milvus_timeout_s


def test_an_empty_variable_means_unset() -> None:
    assert load_settings({"FORGETLESS_EMBEDDING_MODEL": " "}).embedding_model == Settings().embedding_model


def test_a_value_of_the_wrong_type_names_the_variable() -> None:
    with pytest.raises(InvalidRequestError, match="FORGETLESS_EMBEDDING_DIMENSIONS must be a number"):
        load_settings({"FORGETLESS_EMBEDDING_DIMENSIONS": "many"})


@pytest.mark.parametrize("days", ["-1", "nan", "inf", "1e9"])
@pytest.mark.parametrize("name", ["MESSAGE", "JOB", "FAILED_JOB"])
def test_a_retention_that_is_no_number_of_days_names_the_variable(name: str, days: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"FORGETLESS_{name}_RETENTION_DAYS must be a number of days"):
        load_settings({f"FORGETLESS_{name}_RETENTION_DAYS": days})


def test_no_days_of_retention_mean_forever() -> None:
    settings = load_settings({"FORGETLESS_JOB_RETENTION_DAYS": "0", "FORGETLESS_MESSAGE_RETENTION_DAYS": "0.5"})
    assert settings.retention == Retention(succeeded_jobs_s=None, messages_s=43_200.0)
    assert Settings().retention == Retention()


CREDENTIALS = pytest.mark.parametrize(
    ("url", "key"),
    [
        ("OPENAI_BASE_URL", "OPENAI_API_KEY"),
        ("FORGETLESS_EMBEDDER_URL", "FORGETLESS_EMBEDDER_API_KEY"),
        ("FORGETLESS_MILVUS_URI", "FORGETLESS_MILVUS_TOKEN"),
    ],
)


@CREDENTIALS
@pytest.mark.parametrize("user", ["user:sk-live@", "sk-live@", ":sk-live@"])
def test_credentials_in_a_url_beside_a_key_are_an_error_that_names_both_and_shows_neither(
    url: str, key: str, user: str
) -> None:
    environ = {url: f"http://{user}127.0.0.1:8105/v1", key: "key-live"}
    with pytest.raises(InvalidRequestError) as raised:
        check_environment(environ)
    message = raised.value.message
    assert f"remove them from {url}, or unset {key}" in message
    assert "live" not in message


@CREDENTIALS
@pytest.mark.parametrize("given", ["in the URL", "as a key", "neither"])
def test_credentials_alone_are_taken_as_they_are(url: str, key: str, given: str) -> None:
    environ = {url: f"http://{'user:sk-live@' if given == 'in the URL' else ''}127.0.0.1:8105/v1"}
    environ |= {key: "key-live"} if given == "as a key" else {}
    settings = check_environment(environ)
    assert environ[url] in str([getattr(settings, one.name) for one in fields(settings)])


def test_another_servers_key_is_nothing_to_a_url() -> None:
    environ = {"FORGETLESS_EMBEDDER_URL": "http://user:pw@127.0.0.1:1", "OPENAI_API_KEY": "sk-1"}
    assert check_environment(environ).embedder_url == environ["FORGETLESS_EMBEDDER_URL"]


@pytest.mark.parametrize("function", ["memories", "search", "ingest", "sweep", "mcp", "webhooks"])
def test_every_function_stops_at_its_start_for_two_credentials(function: str) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OPENAI_BASE_URL": "http://user:sk-live@127.0.0.1:8105/v1",
        "OPENAI_API_KEY": "key-live",
    }
    command = [sys.executable, str(ROOT / "functions" / function / "app.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "remove them from OPENAI_BASE_URL, or unset OPENAI_API_KEY" in done.stderr
    assert "live" not in done.stderr


def test_secrets_are_in_neither_repr_nor_what_is_shown() -> None:
    options = '{"api_key": "t-1", "extra_body": {"Auth-Token": "a \\"t-1\\""}, "max_tokens": 40, "seed": "s"}'
    given = {"OPENAI_API_KEY": "sk-1", "FORGETLESS_MILVUS_TOKEN": "t-1", "FORGETLESS_LLM_OPTIONS": options}
    settings = load_settings(given)
    assert "sk-1" not in repr(settings)
    assert settings.shown()["OPENAI_API_KEY"] == "[redacted]"
    assert "t-1" not in str(settings.shown())
    shown = {"api_key": "[redacted]", "extra_body": {"Auth-Token": "[redacted]"}, "max_tokens": 40, "seed": "s"}
    assert json.loads(settings.shown()["FORGETLESS_LLM_OPTIONS"]) == shown


def test_of_urls_nothing_is_shown_that_may_be_a_credential() -> None:
    given = {
        "OPENAI_BASE_URL": "https://ana:s3cret@llm.example/v1",
        "FORGETLESS_EMBEDDER_URL": "http://s3cret@embedder:7997/v1?key=s3cret",
        "FORGETLESS_MILVUS_URI": "https://root:s3cret@milvus:19530",
        "FORGETLESS_QUEUE_URL": "http://queue:9324/000000000000/jobs#s3cret",
        "FORGETLESS_HEALTH_URLS": '{"llm": "https://ana:s3cret@llm.example/health?token=s3cret"}',
    }
    shown = load_settings(given).shown()
    assert "s3cret" not in str(shown)
    assert shown["OPENAI_BASE_URL"] == "https://[redacted]@llm.example/v1"
    assert shown["FORGETLESS_EMBEDDER_URL"] == "http://[redacted]@embedder:7997/v1?[redacted]"
    assert json.loads(shown["FORGETLESS_HEALTH_URLS"]) == {"llm": "https://[redacted]@llm.example/health?[redacted]"}
    assert shown["FORGETLESS_QUEUE_URL"] == "http://queue:9324/000000000000/jobs#[redacted]"


@pytest.mark.parametrize(
    ("environ", "configured"),
    [
        ({}, False),
        ({"OPENAI_API_KEY": "sk-1"}, False),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, True),
        ({"FORGETLESS_LLM_MODEL": "m"}, True),
    ],
)
def test_an_api_key_alone_configures_no_llm(environ: dict[str, str], configured: bool) -> None:
    assert load_settings(environ).llm_configured is configured


def test_each_model_and_dimension_has_a_collection_of_its_own() -> None:
    names = {
        collection_name(load_settings({}, embedding_model=model, embedding_dimensions=size))
        for model in ("jinaai/jina-embeddings-v3", "all-MiniLM-L6-v2")
        for size in (384, 1024)
    }
    assert len(names) == 4
    assert all(name.replace("_", "").isalnum() for name in names)


def test_the_ledger_is_the_one_that_the_settings_name() -> None:
    dynamo = build_ledger(load_settings({"FORGETLESS_LEDGER": "dynamodb", "FORGETLESS_LEDGER_TABLE": "t"}))
    assert type(dynamo).__name__ == "DynamoLedger"
    with pytest.raises(InvalidRequestError, match="FORGETLESS_LEDGER_TABLE"):
        build_ledger(load_settings({"FORGETLESS_LEDGER": "dynamodb"}))
    with pytest.raises(InvalidRequestError, match="sqlite or dynamodb, not 'redis'"):
        build_ledger(load_settings({"FORGETLESS_LEDGER": "redis"}))


def test_the_log_of_erasures_stands_beside_the_ledger(tmp_path: Path) -> None:
    build_erasure_log(load_settings({"FORGETLESS_LEDGER_PATH": str(tmp_path / "mine.db")})).key()
    assert [file.name for file in tmp_path.iterdir()] == ["mine.db-erasures"]
    given = {"FORGETLESS_LEDGER": "dynamodb", "FORGETLESS_LEDGER_TABLE": "t"}
    with pytest.raises(InvalidRequestError, match="FORGETLESS_ERASURES_TABLE"):
        build_erasure_log(load_settings(given))
    log = build_erasure_log(load_settings({**given, "FORGETLESS_ERASURES_TABLE": "e"}))
    assert type(log).__name__ == "DynamoErasureLog"


def test_the_limits_of_a_request_are_settings() -> None:
    set_ = {"FORGETLESS_MAX_MESSAGES": "7", "FORGETLESS_MAX_FILTER_NODES": "9"}
    assert load_settings(set_).limits == RequestLimits(messages=7, filter_nodes=9)
    assert load_settings({}).limits == RequestLimits()
    with pytest.raises(InvalidRequestError, match="FORGETLESS_MAX_BATCH must be at least 1, not 0"):
        _ = load_settings({"FORGETLESS_MAX_BATCH": "0"}).limits


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FORGETLESS_METRICS", "statsd"),
        ("FORGETLESS_METRICS_ADDRESS", "9464"),
        ("FORGETLESS_METRICS_ADDRESS", "127.0.0.1:http"),
        ("FORGETLESS_METRICS_ADDRESS", "127.0.0.1:65536"),
    ],
)
def test_metrics_that_go_nowhere_name_the_variable(name: str, value: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"{name} must be"):
        _ = load_settings({name: value}).metrics_place


@pytest.mark.parametrize(
    ("given", "base"),
    [("", ""), ("/", ""), ("memory", "/memory"), ("/memory/", "/memory"), ("tools/memory", "/tools/memory"),
     ("/api", "/api"), ("/v1x", "/v1x")],
)  # fmt: skip
def test_a_base_path_has_a_slash_before_it_and_none_after_it(given: str, base: str) -> None:
    assert load_settings({"FORGETLESS_BASE_PATH": given}).base_path == base


@pytest.mark.parametrize("given", ["/a b", "https://api.example.com/memory", "/a?b", "//a//b", "/v1", "mcp/x", "/ä"])
def test_a_base_path_that_cannot_be_told_from_other_paths_names_the_variable(given: str) -> None:
    with pytest.raises(InvalidRequestError, match="FORGETLESS_BASE_PATH must"):
        _ = load_settings({"FORGETLESS_BASE_PATH": given}).base_path


@pytest.mark.parametrize(
    ("given", "hosts"),
    [("", 5), ("none", 0), ("claude.ai, Chat.Example.COM", 2), ("*,cursor:,localhost,x-my-app.v2:", 4)],
)
def test_hosts_to_which_the_log_in_page_may_send(given: str, hosts: int) -> None:
    assert len(load_settings({"FORGETLESS_OAUTH_REDIRECTS": given}).oauth_hosts) == hosts


@pytest.mark.parametrize(
    "entry",
    [
        "https://claude.ai",
        "https://claude.ai/cb",
        "claude.ai:443",
        "claude.ai/cb",
        "*.claude.ai",
        "http:",
        "javascript:",
    ],
)
def test_an_entry_that_would_match_nothing_names_the_variable_and_what_to_write(entry: str) -> None:
    for given in (entry, f"chatgpt.com,{entry}", f"none,{entry}"):
        with pytest.raises(InvalidRequestError, match=r"FORGETLESS_OAUTH_REDIRECTS.* must be a host like"):
            load_settings({"FORGETLESS_OAUTH_REDIRECTS": given})


def test_a_context_without_room_for_the_instructions_is_refused() -> None:
    assert load_settings({"FORGETLESS_LLM_CONTEXT_TOKENS": "4096"}).llm_context_tokens == 4096
    with pytest.raises(InvalidRequestError, match="FORGETLESS_LLM_CONTEXT_TOKENS must be a number from 2048 up"):
        load_settings({"FORGETLESS_LLM_CONTEXT_TOKENS": "2000"})


def test_metrics_are_off_and_on_this_machine_alone_by_default() -> None:
    assert (Settings().metrics, Settings().metrics_place) == ("off", ("127.0.0.1", 9464))
    assert load_settings({"FORGETLESS_METRICS_ADDRESS": "[::1]:9"}).metrics_place == ("::1", 9)
