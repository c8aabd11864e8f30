"""The tools' client: where it finds key and address, and the text of its errors."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from local.client import Client, Connection, ToolError, add_options, llm_configured, read_connection
from tests.tools.fake_service import KEY, FakeService


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return parser.parse_args(arguments)


def test_the_key_of_the_option_wins_over_the_environment() -> None:
    found = read_connection(options("--api-key", "a", "--url", "http://host:1/"), {"FORGETLESS_API_KEY": "b"})
    assert found == Connection("http://host:1", "a")


def test_the_key_is_read_from_the_state_folder(tmp_path: Path) -> None:
    (tmp_path / "api_key").write_text("kept\n")
    assert read_connection(options(), {"FORGETLESS_STATE": str(tmp_path)}).key == "kept"


def test_without_any_key_the_error_names_make_up(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="make up"):
        read_connection(options(), {"FORGETLESS_STATE": str(tmp_path)})


def test_a_refused_request_names_status_and_reason(service: FakeService) -> None:
    with (
        Client(Connection(service.url, "wrong")) as client,
        pytest.raises(ToolError, match=r"GET /configure: status 401.*Invalid API key"),
    ):
        client.settings()


def test_a_service_that_does_not_run_is_one_line() -> None:
    with Client(Connection("http://127.0.0.1:9", KEY)) as client, pytest.raises(ToolError, match="does `make up` run"):
        client.settings()


def test_an_api_key_alone_is_no_llm() -> None:
    assert not llm_configured({"settings": {"OPENAI_API_KEY": "[redacted]", "OPENAI_BASE_URL": ""}})
    assert llm_configured({"settings": {"FORGETLESS_LLM_MODEL": "some-model"}})
