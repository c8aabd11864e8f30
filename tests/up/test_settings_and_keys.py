"""Ports, folders, the socket's path, the key, and the variables of the functions."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import stat
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from embedder.sources import KNOWN, VARIANTS, find_recipe
from local.up.errors import UpError
from local.up.keys import QUEUE_TOKEN, api_key
from local.up.models import MODELS, prepare_command
from local.up.parts import Part, environment_of_functions, parts_of
from local.up.settings import MAX_SOCKET_BYTES, ROOT, Settings, add_options, read_settings, socket_path
from local.up.up import _block, up


def settings_from(*arguments: str, **environment: str) -> Settings:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return read_settings(parser.parse_args(arguments), environment)


def mode_of(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_the_defaults_are_those_of_the_documentation() -> None:
    found = settings_from()
    assert (found.port, found.embedder_port, found.queue_port, found.metrics_port) == (3000, 7997, 9324, 9464)
    assert found.state == ROOT / ".forgetless"
    assert found.url == "http://127.0.0.1:3000"


def test_an_option_wins_over_the_environment_and_that_over_the_default() -> None:
    found = settings_from("--port", "4000", FORGETLESS_PORT="5000", FORGETLESS_QUEUE_PORT="5001")
    assert (found.port, found.embedder_port, found.queue_port) == (4000, 7997, 5001)


def test_metrics_are_served_on_no_port_and_then_not_recorded(tmp_path: Path) -> None:
    found = settings_from("--metrics-port", "0", "--state", str(tmp_path))
    assert found.metrics_port is None
    assert environment_of_functions(found, {})["FORGETLESS_METRICS"] == "off"
    assert "FORGETLESS_METRICS" not in environment_of_functions(settings_from("--state", str(tmp_path)), {})


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "3000.0", "３０００"])
def test_a_port_that_is_none_is_refused_by_name(port: str) -> None:
    with pytest.raises(UpError, match="FORGETLESS_EMBEDDER_PORT"):
        settings_from(FORGETLESS_EMBEDDER_PORT=port)


def test_environments_are_as_many_as_asked_for_and_else_the_emulators_choice() -> None:
    assert settings_from().environments is None
    assert settings_from(FORGETLESS_ENVIRONMENTS="8").environments == 8
    assert settings_from("--environments", "1", FORGETLESS_ENVIRONMENTS="8").environments == 1
    for number in ("0", "-1", "many", "1.5"):
        with pytest.raises(UpError, match="FORGETLESS_ENVIRONMENTS must be a whole number"):
            settings_from(FORGETLESS_ENVIRONMENTS=number)


def test_the_gateway_is_told_how_many_environments(tmp_path: Path) -> None:
    def told(**variables: str) -> tuple[str, ...]:
        settings = settings_from("--state", str(tmp_path), **variables)
        return next(part.command for part in parts_of(settings, {}, tmp_path / "key") if part.name == "gateway")

    assert "--max-environments" not in told()
    command = told(FORGETLESS_ENVIRONMENTS="3")
    assert command[command.index("--max-environments") + 1] == "3"


def test_environments_are_forked_unless_somebody_says_no(tmp_path: Path) -> None:
    def forked(**variables: str) -> bool:
        settings = settings_from("--state", str(tmp_path), **variables)
        return "--fork" in next(
            part.command for part in parts_of(settings, {}, tmp_path / "key") if part.name == "gateway"
        )

    assert (forked(), forked(FORGETLESS_FORK="on"), forked(FORGETLESS_FORK="off")) == (True, True, False)
    assert "FORGETLESS_FORK" not in environment_of_functions(settings_from(), {"FORGETLESS_FORK": "on"})
    with pytest.raises(UpError, match="--fork or FORGETLESS_FORK must be on or off, not 'maybe'"):
        settings_from(FORGETLESS_FORK="maybe")


def test_the_embedding_model_is_chosen_by_name_and_brings_its_dimensions(tmp_path: Path) -> None:
    assert (settings_from().model, settings_from().dimensions) == ("all-MiniLM-L6-v2", 384)
    # A state folder of its own: that of this checkout may have an index of another model, which still serves then.
    chosen = settings_from("--state", str(tmp_path), EMBEDDING_MODEL="jina-embeddings-v3")
    told = environment_of_functions(chosen, {"FORGETLESS_EMBEDDING_MODEL": "another"})
    assert told["FORGETLESS_EMBEDDING_MODEL"] == "jina-embeddings-v3"
    assert told["FORGETLESS_EMBEDDING_DIMENSIONS"] == "1024"
    assert chosen.model_folder.name == "jina-embeddings-v3"


def test_a_model_with_random_weights_is_made_by_its_own_command_and_is_not_offered(tmp_path: Path) -> None:
    settings = settings_from(EMBEDDING_MODEL="jina-v3-shape", FORGETLESS_STATE=str(tmp_path))
    assert settings.dimensions == 1024
    (model,) = (part for part in parts_of(settings, {"PYTHONPATH": "mine"}, tmp_path / "key") if part.name == "model")
    assert model.command[1:] == ("-m", "bench.jina_shape", "--out", str(settings.model_folder))
    first, *others = model.environment["PYTHONPATH"].split(os.pathsep)
    assert (Path(first) / "bench" / "jina_shape.py").is_file()
    assert others == ["mine"]
    command, _ = prepare_command("jina-v3-shape-folded", tmp_path, {})
    assert command[-1] == "--fold"
    assert "jina-v3-shape" not in MODELS


def test_an_embedding_model_that_is_not_known_is_refused_by_name() -> None:
    with pytest.raises(UpError, match=r"EMBEDDING_MODEL must be one of all-MiniLM-L6-v2, .* not 'gpt-9'"):
        settings_from(EMBEDDING_MODEL="gpt-9")


def test_every_embedding_model_can_be_prepared_by_name() -> None:
    assert {find_recipe(name).name for name in MODELS} == set(MODELS)
    assert set(MODELS) == {f"{name}{variant}" for name in KNOWN for variant in ("", *VARIANTS)}


def test_the_socket_lies_in_the_state_folder_when_its_path_is_short(tmp_path: Path) -> None:
    folder = Path("/tmp/short")
    assert socket_path(Settings(state=folder)) == folder / "milvus.sock"


def test_a_deep_state_folder_gets_a_short_socket_folder_and_remembers_it(tmp_path: Path) -> None:
    deep = Settings(state=tmp_path / ("d" * 100))
    deep.state.mkdir()
    path = socket_path(deep)
    assert len(os.fsencode(path)) <= MAX_SOCKET_BYTES
    assert mode_of(path.parent) == 0o700
    assert socket_path(deep) == path
    path.parent.rmdir()
    assert socket_path(deep) != path
    socket_path(deep).parent.rmdir()


def test_a_remembered_socket_folder_that_others_can_enter_is_not_used(tmp_path: Path) -> None:
    deep = Settings(state=tmp_path / ("d" * 100))
    deep.state.mkdir()
    first = socket_path(deep)
    first.parent.chmod(0o777)
    second = socket_path(deep)
    assert second != first
    first.parent.rmdir()
    second.parent.rmdir()


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    key, file = api_key(tmp_path, {})
    assert re.fullmatch(r"fgl_[\w-]{43}", key)
    assert file == tmp_path / "api_key"
    assert mode_of(file) == 0o600
    assert api_key(tmp_path, {}) == (key, file)


def test_a_key_file_that_others_could_read_is_closed(tmp_path: Path) -> None:
    _, file = api_key(tmp_path, {})
    file.chmod(0o644)
    api_key(tmp_path, {})
    assert mode_of(file) == 0o600


def test_a_key_from_the_environment_leaves_the_kept_one_alone(tmp_path: Path) -> None:
    kept, _ = api_key(tmp_path, {})
    key, file = api_key(tmp_path, {"FORGETLESS_API_KEY": " mine "})
    assert (key, file.read_text(), mode_of(file)) == ("mine", "mine\n", 0o600)
    assert api_key(tmp_path, {})[0] == kept


def test_an_empty_key_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "api_key").write_text("\n")
    with pytest.raises(UpError, match="delete it"):
        api_key(tmp_path, {})


def test_functions_get_the_llm_and_every_forgetless_setting_but_no_key(tmp_path: Path) -> None:
    caller = {
        "OPENAI_BASE_URL": "http://llm",
        "OPENAI_API_KEY": "sk",
        "FORGETLESS_LLM_MODEL": "m",
        "FORGETLESS_API_KEY": "secret",
        "FORGETLESS_PORT": "1",
        "FORGETLESS_MILVUS_URI": "elsewhere",
        "HOME": "/root",
    }
    found = environment_of_functions(Settings(state=tmp_path, embedder_port=1234), caller)
    assert {name: found[name] for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "FORGETLESS_LLM_MODEL")} == {
        "OPENAI_BASE_URL": "http://llm",
        "OPENAI_API_KEY": "sk",
        "FORGETLESS_LLM_MODEL": "m",
    }
    assert not {"FORGETLESS_API_KEY", "FORGETLESS_PORT", "HOME"} & set(found)
    assert found["FORGETLESS_EMBEDDER_URL"] == "http://127.0.0.1:1234"
    assert found["FORGETLESS_MILVUS_URI"].startswith("unix:/")
    assert json.loads(found["FORGETLESS_HEALTH_URLS"])["embedder"] == "http://127.0.0.1:1234/ready"


def test_functions_use_the_callers_own_dynamodb_when_asked(tmp_path: Path) -> None:
    caller = {"FORGETLESS_LEDGER": "dynamodb", "FORGETLESS_LEDGER_TABLE": "t"}
    with pytest.raises(UpError, match="AWS_ENDPOINT_URL_DYNAMODB"):
        environment_of_functions(Settings(state=tmp_path), caller)
    endpoint = {"AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:8000"}
    found = environment_of_functions(Settings(state=tmp_path), caller | endpoint)
    assert found.items() >= (caller | endpoint).items()
    assert environment_of_functions(Settings(state=tmp_path), endpoint)["FORGETLESS_LEDGER"] == "sqlite"


def test_what_never_calls_the_llm_is_not_given_its_key(tmp_path: Path) -> None:
    parts = parts_of(Settings(state=tmp_path), {"OPENAI_API_KEY": "sk", "PATH": "/bin"}, tmp_path / "api_key")
    untold = {part.name for part in parts if "OPENAI_API_KEY" not in part.environment}
    assert {"model", "embedder", "milvus"} <= untold
    assert mode_of(tmp_path / "functions.env.json") == 0o600
    assert json.loads((tmp_path / "functions.env.json").read_text())["Parameters"]["OPENAI_API_KEY"] == "sk"


def test_every_part_comes_after_those_that_it_needs(tmp_path: Path) -> None:
    seen: set[str] = set()
    for part in parts_of(Settings(state=tmp_path), {}, tmp_path / "api_key"):
        assert seen.issuperset(part.after)
        seen.add(part.name)


def test_queue_and_embedder_have_keys_that_only_they_and_their_clients_get(tmp_path: Path) -> None:
    parts = {part.name: part for part in parts_of(Settings(state=tmp_path), {"PATH": "/bin"}, tmp_path / "api_key")}
    again = {part.name: part for part in parts_of(Settings(state=tmp_path), {"PATH": "/bin"}, tmp_path / "api_key")}
    embedder, queue = parts["embedder"].environment["EMBEDDER_API_KEY"], parts["gateway"].environment[QUEUE_TOKEN]
    assert min(len(embedder), len(queue)) >= 32
    assert embedder != queue
    assert again["embedder"].environment == parts["embedder"].environment
    assert again["gateway"].environment[QUEUE_TOKEN] == queue
    handed = json.loads((tmp_path / "functions.env.json").read_text())["Parameters"]
    assert handed["FORGETLESS_EMBEDDER_API_KEY"] == embedder
    for name, part in parts.items():
        assert (queue in part.environment.values()) == (name == "gateway")
        assert not any(secret in argument for secret in (embedder, queue) for argument in part.command)
    assert {mode_of(tmp_path / name) for name in ("embedder_api_key", "emulator_queue_token")} == {0o600}


def test_keys_of_queue_and_embedder_may_be_given(tmp_path: Path) -> None:
    given = {"EMBEDDER_API_KEY": "mine", "EMULATOR_QUEUE_TOKEN": "ours"}
    parts = {part.name: part for part in parts_of(Settings(state=tmp_path), given, tmp_path / "api_key")}
    assert parts["embedder"].environment["EMBEDDER_API_KEY"] == "mine"
    assert parts["gateway"].environment["EMULATOR_QUEUE_TOKEN"] == "ours"


def test_the_gateway_is_told_which_names_are_allowed(tmp_path: Path) -> None:
    settings = replace(settings_from(FORGETLESS_ALLOWED_HOSTS="memory.example.com, m.example"), state=tmp_path)
    (gateway,) = (part for part in parts_of(settings, {}, tmp_path / "api_key") if part.name == "gateway")
    at = gateway.command.index("--allow-host")
    assert gateway.command[at : at + 4] == ("--allow-host", "memory.example.com", "--allow-host", "m.example")


@pytest.mark.parametrize("given", [False, True])
def test_the_administrators_key_is_shown_on_a_terminal_alone(tmp_path: Path, given: bool) -> None:
    shown = _block(Settings(state=tmp_path), "fgl_secret", given=given)
    assert shown.count("fgl_secret") == 3
    kept = _block(Settings(state=tmp_path), "", given=given)
    assert ("$FORGETLESS_API_KEY" if given else f"$(cat {tmp_path / 'api_key'})") in kept


@pytest.mark.parametrize("terminal", [False, True])
def test_make_up_prints_the_key_on_a_terminal_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    shown: list[str] = []

    def run(_settings: Settings, prepare: Callable[[], AbstractContextManager[tuple[list[Part], str]]]) -> None:
        with prepare() as (_, block):
            shown.append(block)

    class Output(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    monkeypatch.setattr("local.up.up.run", run)
    monkeypatch.setattr("local.up.up._follow_make", lambda: None)
    monkeypatch.setattr("local.up.up._checkpoint", lambda *_: None)
    monkeypatch.setattr(sys, "stdout", Output())
    up(Settings(state=tmp_path), {})
    [block] = shown
    assert ((tmp_path / "api_key").read_text().strip() in block) is terminal


def test_who_writes_in_other_languages_is_told_the_model_to_choose(tmp_path: Path) -> None:
    said = "for about 100 others, start with EMBEDDING_MODEL=multilingual-e5-small"
    assert _block(Settings(state=tmp_path), "", given=False).count(said) == 1
    assert said not in _block(Settings(state=tmp_path, model="multilingual-e5-small"), "", given=False)


def test_the_model_of_an_index_that_serves_or_can_come_back_runs_beside_the_one_that_is_asked_for(
    tmp_path: Path,
) -> None:
    def told(note: object, **variables: str) -> dict[str, str]:
        (tmp_path / "milvus").mkdir(exist_ok=True)
        (tmp_path / "milvus" / "collection").write_text(json.dumps(note))
        settings = settings_from("--state", str(tmp_path), **variables)
        names = [part.name for part in parts_of(settings, {}, tmp_path / "key")]
        assert ("beside-embedder" in names) == ("beside-model" in names) == (settings.beside is not None)
        return environment_of_functions(settings, {})

    of_minilm, of_e5 = "forgetless_all_MiniLM_L6_v2_384_r2", "forgetless_multilingual_e5_small_384_r2"
    alone = told({"collection": of_minilm})
    assert "FORGETLESS_NEXT_EMBEDDER_URL" not in alone
    changed = told({"collection": of_minilm}, EMBEDDING_MODEL="multilingual-e5-small")
    assert changed["FORGETLESS_EMBEDDING_MODEL"] == "all-MiniLM-L6-v2"
    assert changed["FORGETLESS_EMBEDDER_URL"].endswith(":7998")
    assert changed["FORGETLESS_NEXT_EMBEDDING_MODEL"] == "multilingual-e5-small"
    assert changed["FORGETLESS_NEXT_EMBEDDER_URL"] == alone["FORGETLESS_EMBEDDER_URL"]
    can_come_back = {"collection": of_e5, "beside": [of_minilm]}
    assert told(can_come_back, EMBEDDING_MODEL="multilingual-e5-small") == changed
    assert told(can_come_back) == told({"collection": of_e5})
    for unreadable in ({}, [], {"collection": "forgetless_another_model_12_r2"}):
        assert told(unreadable) == alone


def test_an_index_whose_model_is_gone_is_searched_by_words_on_the_option_alone(tmp_path: Path) -> None:
    (tmp_path / "milvus").mkdir()
    (tmp_path / "milvus" / "collection").write_text('{"collection": "forgetless_multilingual_e5_small_384_r2"}')
    settings = settings_from("--state", str(tmp_path))
    [model] = [part for part in parts_of(settings, {}, tmp_path / "key") if part.name == "beside-model"]
    assert "--accept-degraded" in model.remedy
    degraded = replace(settings, accept_degraded=True)
    assert not [part for part in parts_of(degraded, {}, tmp_path / "key") if "beside" in part.name]
    told = environment_of_functions(degraded, {})
    assert (told["FORGETLESS_EMBEDDING_MODEL"], told["FORGETLESS_EMBEDDER_URL"]) == ("multilingual-e5-small", "none:")
    assert told["FORGETLESS_NEXT_EMBEDDING_MODEL"] == "all-MiniLM-L6-v2"
