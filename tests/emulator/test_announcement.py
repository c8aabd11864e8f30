"""What is said at the start, and of errors: every route and trigger, warnings once, and what failed where."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from local.emulator.announcement import grouped
from local.emulator.environments.terminal import Terminal, error_lines
from local.emulator.samconfig import config_beside, config_parameters
from local.emulator.specs import TemplateError
from tests.emulator.fidelity import own, read
from tests.emulator.launching import WAIT_SECONDS, Launched

PROJECT = """
Parameters: {Word: {Type: String, Default: none}}
Globals: {Api: {Cors: "'*'"}}
Resources:
  Rest:
    Type: AWS::Serverless::Function
    Properties: &function
      CodeUri: code
      Handler: app.handler
      Timeout: 20
      FunctionUrlConfig: {AuthType: NONE}
      Environment: {Variables: {WORD: !Ref Word}}
      Events:
        Get: {Type: Api, Properties: {Path: "/a/{id}", Method: get}}
        Put: {Type: Api, Properties: {Path: "/a/{id}", Method: put}}
        Work: {Type: SQS, Properties: {Queue: !GetAtt Work.Arn}}
        Daily: {Type: Schedule, Properties: {Schedule: rate(1 day)}}
        Told: {Type: SNS, Properties: {Topic: !Ref Topic}}
        Came: {Type: S3, Properties: {Bucket: !Ref Bucket, Events: "s3:ObjectCreated:*"}}
        Mail: {Type: AlexaSkill}
  Other:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: code, Handler: app.handler, Events: {Mail: {Type: AlexaSkill}}}
  Work: {Type: AWS::SQS::Queue}
  Topic: {Type: AWS::SNS::Topic}
  Bucket: {Type: AWS::S3::Bucket}
"""
CODE = """
import os
def handler(event, context):
    if event["pathParameters"]["id"] == "module":
        import absent
    raise ValueError(os.environ["WORD"])
"""


@pytest.mark.slow
@read("aws-sam-cli: samcli/local/apigw, the lines of start-api")
def test_the_start_names_every_route_and_trigger_and_the_terminal_shows_errors(
    project: Callable[..., Path], tmp_path: Path
) -> None:
    import httpx  # noqa: PLC0415

    (tmp_path / "samconfig.toml").write_text('[default.deploy.parameters]\nparameter_overrides = "Word=given Gone=1"\n')
    launched = Launched(project(PROJECT, code__app=CODE), "--url-port", "0")
    ready = launched.ready()
    for name in ("x", "x", "module"):
        assert httpx.get(f"{ready['gateway']}/Prod/a/{name}", timeout=WAIT_SECONDS).status_code == 502
    _, text = launched.stop()
    lines = text.splitlines()
    assert f"Mounting Rest at {ready['gateway']}/a/{{id}} [GET, PUT, OPTIONS]" in lines
    assert f"Mounting Rest at {ready['urls']['Rest']} [its own URL]" in lines
    assert {"Feeding Rest from queue Work", "Telling Rest of topic Topic"} <= set(lines)
    assert "Telling Rest by schedule RestDaily [rate(1 day)]" in lines
    assert f"Logs of the functions: {tmp_path / '.emulator' / 'template' / 'logs' / 'functions.log'}" in lines
    assert sum("events of bucket bucket come with --with-moto only" in line for line in lines) == 1
    assert sum("Rest, Other: events of type AlexaSkill are not emulated" in line for line in lines) == 1
    at = lines.index("Rest failed: ValueError: given")
    assert lines[at + 1].endswith("line 6, in handler")
    assert lines.count("Rest failed: ValueError: given") == 1
    assert any("absent is neither in the function's code" in line and "--packages" in line for line in lines)
    assert (ready["routes"], ready["triggers"]) == (2, 4)


@pytest.mark.slow
@own("command line")
def test_a_project_that_nothing_calls_is_told_how_to_call_it(project: Callable[..., Path]) -> None:
    function = "F: {Type: AWS::Serverless::Function, Properties: {CodeUri: code, Handler: app.handler}}"
    launched = Launched(project(f"Resources:\n  {function}\n", code__app=CODE))
    ready = launched.ready()
    assert (ready["routes"], ready["triggers"]) == (0, 0)
    _, text = launched.stop()
    assert f"aws lambda invoke --endpoint-url {ready['queue']} --function-name F" in text


@own("warnings")
def test_warnings_that_say_the_same_are_one() -> None:
    several = [f"t.yaml:{line}: {name}: is odd" for line, name in enumerate("ABCDE")]
    assert grouped([*several, "plain", "plain", "t.yaml:9: F: else"]) == [
        "t.yaml:0: A, B, C and 2 more: is odd", "plain", "t.yaml:9: F: else",
    ]  # fmt: skip


@own("errors")
def test_an_error_is_shown_as_its_function_reported_it() -> None:
    body = {"errorType": "KeyError", "errorMessage": "'a'", "stackTrace": ['  File "app.py", line 1\n    x\n']}
    assert list(error_lines(json.dumps(body).encode())) == ["KeyError: 'a'", '  File "app.py", line 1\n    x']
    assert list(error_lines(b"no json")) == ["no json"]


@own("errors")
def test_an_error_that_comes_again_at_once_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.emulator.environments.terminal.QUIET_SECONDS", 0.0)
    shown: list[str] = []

    async def fail() -> None:
        terminal = Terminal(shown.append)
        for _ in range(3):
            terminal.failed("F", b'{"errorMessage": "x"}')
        await asyncio.sleep(0.05)

    asyncio.run(fail())
    assert shown == ["F failed: x", "F failed 2 times more: x"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('[default.deploy.parameters]\nparameter_overrides = "A=1 B=\\"x y\\""', {"A": "1", "B": "x y"}),
        ('[default.deploy.parameters]\nparameter_overrides = ["A=1", "B=x"]', {"A": "1", "B": "x"}),
        ('[default.global.parameters]\nparameter_overrides = "ParameterKey=A,ParameterValue=\\"x y\\""', {"A": "x y"}),
        (
            '[default.deploy.parameters]\nparameter_overrides = "A=1 B=2"\n'
            '[default.local_start_api.parameters]\nparameter_overrides = "A=3"',
            {"A": "3", "B": "2"},
        ),
        ('[prod.deploy.parameters]\nparameter_overrides = "A=1"', {}),
        ('[default.deploy.parameters]\nstack_name = "x"', {}),
    ],
)
@read("aws-sam-cli: samcli/lib/config and samcli/commands/_utils")
def test_parameters_come_from_samconfig_in_each_of_its_forms(tmp_path: Path, text: str, found: dict[str, str]) -> None:
    (tmp_path / "samconfig.toml").write_text(text)
    assert config_parameters(tmp_path / "samconfig.toml", "default") == found


@own("errors")
def test_a_samconfig_that_cannot_be_read_is_named_and_one_beside_the_project_found(tmp_path: Path) -> None:
    path = tmp_path / "samconfig.toml"
    path.write_text("[default")
    with pytest.raises(TemplateError, match=r"samconfig\.toml: cannot be read"):
        config_parameters(path, "default")
    assert config_beside(tmp_path / ".aws-sam" / "build" / "template.yaml") == path
    assert config_beside(tmp_path / "other" / "template.yaml") is None
