"""Functions import what Lambda has, and nothing that is installed beside the emulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local.emulator.environments.packages import import_hint
from tests.emulator.fidelity import documented, own

CODE = """
import importlib, sys
def handler(event, context):
    name = event["rawPath"][1:]
    try:
        return getattr(importlib.import_module(name), "__file__", "builtin")
    except ImportError as error:
        return str(error)
"""


@documented("Lambda: lambda-python, runtime dependencies")
def test_a_function_imports_boto3_and_its_requirements_and_no_other_package(start: Any) -> None:
    running = start(code__app=CODE)
    for name in ("boto3", "botocore", "urllib3", "awslambdaric", "dateutil", "json"):
        assert running.http.get(f"/{name}").text.endswith(".py"), name
    for name in ("uvicorn", "pydantic", "httpx", "forgetless", "local", "pytest", "pip"):
        assert running.http.get(f"/{name}").text == f"No module named '{name}'"
    assert running.http.get("/app").text == str(running.state.parent / "code" / "app.py")


@own("--packages")
def test_folders_that_are_given_are_searched_after_the_functions_own_code(start: Any, tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    for name in ("extra", "app", "dateutil"):
        (tmp_path / "given" / f"{name}.py").write_text("")
    running = start(settings={"packages": (tmp_path / "given",)}, code__app=CODE)
    found = {name: running.http.get(f"/{name}").text for name in ("extra", "app", "dateutil")}
    assert found["extra"] == str(tmp_path / "given" / "extra.py")
    assert found["app"] == str(tmp_path / "code" / "app.py")
    assert found["dateutil"] == str(tmp_path / "given" / "dateutil.py")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Unable to import module 'app': No module named 'requests'", "requests"),
        ("No module named 'google.protobuf'", "google"),
        ("No module named 'json'", ""),
        ("division by zero", ""),
    ],
)
@own("errors")
def test_a_missing_module_is_told_with_what_to_do(text: str, named: str) -> None:
    hint = import_hint(text)
    assert hint.startswith(named)
    assert bool(named) == ("sam build" in hint and "--packages FOLDER" in hint)


LAYERED = """
Resources:
  Sources:
    Type: AWS::Serverless::LayerVersion
    Metadata: {BuildMethod: python3.13}
    Properties: {ContentUri: shared}
  Made:
    Type: AWS::Serverless::LayerVersion
    Metadata: {BuildMethod: makefile}
    Properties: {ContentUri: made}
  Hello:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: code, Handler: app.handler, Layers: [!Ref Sources, !Ref Made], Events: {All: {Type: HttpApi}}}
"""


@documented("SAM developer guide: building-layers")
def test_the_sources_of_a_layer_are_found_as_a_build_would_put_them(start: Any, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "requirements.txt").write_text("# packages\nrequests\n")
    running = start(LAYERED, code__app=CODE, shared__common="")
    assert running.http.get("/common").text == str(tmp_path / "shared" / "common.py")
    told = " ".join(running.warnings)
    assert "Sources: its requirements.txt is not installed: run `sam build`" in told
    assert "Made: it is not built (BuildMethod makefile)" in told


@own("--packages")
def test_with_folders_of_packages_nothing_is_said_of_layers_that_are_not_built(start: Any, tmp_path: Path) -> None:
    for name in ("made", "shared"):
        (tmp_path / name).mkdir()
    running = start(LAYERED, settings={"packages": (tmp_path / "made",)}, code__app=CODE)
    assert "is not built" not in " ".join(running.warnings)
