"""What values of a template become: known ones, ids that SAM generates, and those that cannot be known here."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.emulator.environments.code import with_folders
from local.emulator.specs import NotHereError, Place, Template
from local.emulator.template.document import read_document
from local.emulator.template.intrinsics import Resolver
from local.emulator.template.reader import read_template
from local.emulator.template.unresolved import Unresolved
from tests.emulator.fidelity import documented, own

Project = Callable[..., Path]
BASE = """
Parameters:
  Given: {Type: String, Default: given}
  Empty: {Type: String}
  Names: {Type: CommaDelimitedList, Default: 'a, b,c'}
  Layer: {Type: String, Default: 'arn:aws:lambda:us-east-1:017000801446:layer:Tools:1'}
Conditions:
  IsGiven: !Equals [!Ref Given, given]
  Unset: !Equals [!Ref Empty, '']
Mappings:
  Sizes: {123456789012: {memory: 256}}
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code
      Handler: app.handler
      AutoPublishAlias: live
      FunctionName: !ImportValue Name
      MemorySize: !FindInMap [Sizes, !Ref AWS::AccountId, memory]
      Layers: !If [IsGiven, [!Ref Own, !Sub '${Own}', !Ref Layer, !ImportValue Other], !Ref AWS::NoValue]
  Own: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: code, LayerName: shared}}
  Api: {Type: AWS::Serverless::HttpApi, Properties: {Name: A Title}}
  Bucket: {Type: AWS::S3::Bucket}
  Machine: {Type: AWS::Serverless::StateMachine}
"""
PLACE = Place()


@pytest.fixture
def read(project: Project) -> Callable[..., Template]:
    def reader(template: str = BASE, variables: str = "{}", **parameters: str) -> Template:
        text = template.replace(
            "      AutoPublish", f"      Environment: {{Variables: {variables}}}\n      AutoPublish"
        )
        return read_template(project(text, code__app=""), PLACE, parameters)

    return reader


@pytest.fixture
def resolver(project: Project) -> Resolver:
    return Resolver(read_document(project(BASE)), PLACE)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Fn::GetAtt": ["FRole", "Arn"]}, "arn:aws:iam::123456789012:role/FRole"),
        ({"Fn::GetAtt": "MachineRole.Arn"}, "arn:aws:iam::123456789012:role/MachineRole"),
        ({"Ref": "F.Version"}, "F.Version"),
        ({"Ref": "F.Alias"}, "F.Alias"),
        ({"Ref": "ServerlessRestApi"}, "ServerlessRestApi"),
        ({"Ref": "ServerlessRestApiProdStage"}, "Prod"),
        ({"Fn::Sub": "https://${ServerlessHttpApi}.example/${Api}"}, "https://ServerlessHttpApi.example/Api"),
        ({"Fn::GetAtt": ["Bucket", "Arn"]}, "arn:aws:s3:::bucket"),
        ({"Fn::Join": ["-", {"Ref": "Names"}]}, "a-b-c"),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "AWS::AccountId"}, "memory"]}, 256),
        ({"Fn::FindInMap": ["Sizes", "nobody", "memory", {"DefaultValue": {"Ref": "Given"}}]}, "given"),
        ({"Fn::ToJsonString": {"a": [{"Ref": "Given"}, 1]}}, '{"a":["given",1]}'),
        ({"Fn::Length": {"Ref": "Names"}}, 3),
        ({"Fn::Select": [1, {"Fn::GetAZs": ""}]}, "us-east-1b"),
        ({"Fn::If": ["Unset", "unset", "set"]}, "unset"),
    ],
)
@documented("CloudFormation and SAM references")
def test_a_value_that_can_be_known_is_resolved(resolver: Resolver, value: Any, expected: object) -> None:
    assert resolver.resolve(value) == expected
    assert resolver.resolve_parts({"x": [value]}) == {"x": [expected]}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"Fn::ImportValue": "Net"}, "Fn::ImportValue Net: exports of other stacks are not here"),
        ({"Fn::Transform": {"Name": "AWS::Include"}}, "Fn::Transform: macros are not carried out here"),
        ({"Fn::Cidr": ["10.0.0.0/16", 2, 8]}, "Fn::Cidr: networks are not emulated"),
        ({"Fn::Hash": "x"}, "Fn::Hash x: it is not supported"),
        ({"Ref": "Nobody"}, "unknown parameter or resource Nobody"),
        ({"Fn::GetAtt": ["Bucket", "Outputs.X"]}, "Bucket.Outputs.X: nested stacks are not here"),
        ({"Fn::FindInMap": ["Sizes", "nobody", "memory"]}, "no mapping Sizes.nobody.memory"),
        ({"Fn::Select": [7, {"Ref": "Names"}]}, "Fn::Select has an unexpected form: list index out of range"),
        (
            {"Fn::If": ["IsGiven"]},
            "Fn::If has an unexpected form: not enough values to unpack (expected 3, got 1)",
        ),
        ({"Ref": "Empty"}, "parameter Empty has no value: give --parameter Empty=VALUE"),
    ],
)
@own("values that cannot be known")
def test_a_value_that_cannot_be_known_says_why_and_spares_what_is_beside_it(
    resolver: Resolver, value: Any, reason: str
) -> None:
    with pytest.raises(NotHereError) as refused:
        resolver.resolve([value])
    assert str(refused.value) == reason
    assert resolver.resolve_parts({"a": value, "b": {"Ref": "Given"}}) == {"a": Unresolved(reason), "b": "given"}
    assert resolver.resolve_parts({"Fn::If": ["IsGiven", [value, "b"], "c"]}) == [Unresolved(reason), "b"]
    assert resolver.resolve_parts({"Fn::Join": ["", ["a", value]]}) == Unresolved(reason)


@own("values that cannot be known")
def test_names_and_layers_that_cannot_be_known_are_told_and_the_rest_is_used(
    read: Callable[..., Template], tmp_path: Path
) -> None:
    template = read()
    spec, told = template.functions["F"], "\n".join(template.warnings)
    assert (spec.problem, spec.physical_name, spec.memory) == ("", "F", 256)
    assert spec.layers == (tmp_path / "code", tmp_path / "code")
    assert "F: FunctionName left out: Fn::ImportValue Name: exports of other stacks are not here" in told
    assert "F: called F here" not in told
    layer = "arn:aws:lambda:us-east-1:017000801446:layer:Tools:1"
    assert f"F: layer {layer} is not fetched; give its packages with --packages FOLDER" in told
    assert "F: a layer is left out: Fn::ImportValue Other: exports" in told
    assert read(Given="other").functions["F"].layers == ()


@own("values that cannot be known")
def test_a_variable_that_cannot_be_known_keeps_its_function_from_running(read: Callable[..., Template]) -> None:
    problem = read(variables="{A: !ImportValue Net, B: x}").functions["F"].problem
    reason = "Fn::ImportValue Net: exports of other stacks are not here"
    assert problem == f"the variable A is not known: {reason}; give it a value with --env-vars"


@own("values that cannot be known")
def test_a_variable_that_is_set_elsewhere_needs_no_value(project: Project) -> None:
    text = BASE.replace("      AutoPublish", "      Environment: {Variables: {A: !ImportValue Net}}\n      AutoPublish")
    template = read_template(project(text, code__app=""), PLACE, {}, lambda name: {"F": {"A"}}.get(name, ()))
    assert template.functions["F"].problem == ""


@own("values that cannot be known")
def test_a_parameter_without_a_value_is_an_empty_text_in_variables_and_named(read: Callable[..., Template]) -> None:
    template = read(variables="{A: !Sub 'x${Empty}'}")
    assert template.functions["F"].variables == {"A": "x"}
    line = "Empty: the parameter has no value and is an empty text: give --parameter Empty=VALUE"
    assert [warning for warning in template.warnings if f"template.yaml:4: {line}" in warning]
    assert not [warning for warning in read(Empty="y").warnings if "no value" in warning]


@own("values that cannot be known")
def test_a_property_whose_parameter_has_no_value_is_left_out_and_named(read: Callable[..., Template]) -> None:
    template = read(BASE.replace("MemorySize: !FindInMap [Sizes, !Ref AWS::AccountId, memory]", "Timeout: !Ref Empty"))
    assert template.functions["F"].timeout == 3
    told = "F: Timeout left out: parameter Empty has no value: give --parameter Empty=VALUE"
    assert [warning for warning in template.warnings if told in warning]


@pytest.mark.parametrize(
    ("variables", "value", "told"),
    [
        (
            "{A: '{{resolve:ssm:/db/url}}'}",
            "{{resolve:ssm:/db/url}}",
            "is not looked up; give it a value with --env-vars",
        ),
        ("{A: [1, 2]}", "", "variable A is no text, which AWS refuses: it is empty here"),
        ("{A: }", "", "variable A is no text, which AWS refuses: it is empty here"),
        ("{A: 1.5}", "1.5", ""),
    ],
)
@own("values that cannot be known")
def test_a_variable_that_is_no_text_or_a_reference_is_named(
    read: Callable[..., Template], variables: str, value: str, told: str
) -> None:
    template = read(variables=variables)
    assert template.functions["F"].variables == {"A": value}
    assert told in "\n".join(template.warnings)


@documented("Lambda: configuration-function-zip")
def test_code_may_be_an_archive_and_a_changed_archive_replaces_what_was_there(project: Project, tmp_path: Path) -> None:
    def pack(**files: str) -> None:
        with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
            for name, text in files.items():
                archive.writestr(f"{name}.py", text)

    pack(app="old", gone="")
    spec = read_template(project(BASE.replace("CodeUri: code", "CodeUri: code.zip"), code__app=""), PLACE).functions[
        "F"
    ]
    assert (spec.problem, spec.code) == ("", tmp_path / "code.zip")
    folder = with_folders(spec, tmp_path / "state").code
    assert sorted(path.name for path in folder.iterdir()) == ["app.py", "gone.py"]
    pack(app="new")
    assert with_folders(spec, tmp_path / "state").code == folder
    assert [path.read_text() for path in folder.iterdir()] == ["new"]


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("nowhere", "there is no folder nowhere beside the template"),
        ("code/app.py", "CodeUri code/app.py is a file: give its folder, or an archive of it (.zip)"),
        ("s3://bucket/key", "CodeUri is s3://bucket/key: give the folder on this machine that holds the code"),
        ("{Bucket: b, Key: k}", "CodeUri is {'Bucket': 'b', 'Key': 'k'}: give the folder on this machine"),
        ("!ImportValue Code", "its CodeUri is not known: Fn::ImportValue Code"),
    ],
)
@own("partial starts")
def test_code_that_is_not_on_this_machine_is_the_functions_problem(project: Project, uri: str, problem: str) -> None:
    path = project(BASE.replace("CodeUri: code", f"CodeUri: {uri}"), code__app="")
    assert read_template(path, PLACE).functions["F"].problem.startswith(problem)
