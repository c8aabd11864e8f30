"""The template, the layers and the pins agree with each other and with the settings."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from forgetless.runtime.settings import Settings

ROOT = Path(__file__).parents[2]


class CloudFormation(yaml.SafeLoader):
    """YAML with CloudFormation's short intrinsics, kept as (tag, value)."""


def _intrinsic(loader: CloudFormation, suffix: str, node: yaml.Node) -> tuple[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return suffix, loader.construct_scalar(node)
    return suffix, loader.construct_sequence(node) if isinstance(node, yaml.SequenceNode) else None


CloudFormation.add_multi_constructor("!", _intrinsic)


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return yaml.load((ROOT / "template.yaml").read_text(), Loader=CloudFormation)  # type: ignore[no-any-return]


def _functions(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: one["Properties"]
        for name, one in template["Resources"].items()
        if not name.startswith("Fn::ForEach::") and one["Type"] == "AWS::Serverless::Function"  # loops make alarms
    }


def test_every_function_folder_is_in_the_template_and_back(template: dict[str, Any]) -> None:
    described = {one["CodeUri"] for one in _functions(template).values()}
    assert described == {f"functions/{folder.name}" for folder in (ROOT / "functions").iterdir() if folder.is_dir()}


def test_every_setting_is_declared_as_env_vars_drops_what_is_not(template: dict[str, Any]) -> None:
    declared = set(template["Globals"]["Function"]["Environment"]["Variables"])
    assert {one.metadata["name"] for one in fields(Settings)} <= declared


@pytest.mark.parametrize("name", ["dependencies", "mcp"])
def test_the_layers_and_the_project_pin_the_same_versions(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    layer = (ROOT / "layers" / name / "requirements.txt").read_text().splitlines()
    assert any("==" in line for line in layer)
    assert {line for line in layer if line and not line.startswith("#")} <= set(project)


def test_every_dependency_is_pinned_exactly() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in [*project["dependencies"], *project["optional-dependencies"]["test"]]:
        assert re.match(r"^[\w.-]+(\[[\w,]+\])?==[\w.]+( ;|$)", line), line


def test_the_queue_hides_a_message_for_six_times_the_functions_time_out(template: dict[str, Any]) -> None:
    ingest = _functions(template)["IngestFunction"]
    assert template["Resources"]["IngestQueue"]["Properties"]["VisibilityTimeout"] >= 6 * ingest["Timeout"]


def test_a_handler_is_a_few_lines() -> None:
    for entry in (ROOT / "functions").glob("*/app.py"):
        assert len(entry.read_text().splitlines()) <= 40, entry


def test_the_embedders_function_is_called_by_roles_alone_and_has_no_key_in_its_variables() -> None:
    embedder = yaml.load((ROOT / "template-embedder.yaml").read_text(), Loader=CloudFormation)
    assert embedder["Parameters"]["UrlAuth"]["Default"] == "AWS_IAM"
    resources = embedder["Resources"]
    assert resources["FunctionUrl"]["Properties"]["AuthType"] == ("Ref", "UrlAuth")
    # What lets everybody in stands under the condition that somebody has asked for it.
    open_to_all = [one for one in resources.values() if one["Type"] == "AWS::Lambda::Permission"]
    assert [one["Condition"] for one in open_to_all] == ["IsPublic", "IsPublic"]
    assert "{{resolve:" not in (ROOT / "template-embedder.yaml").read_text()


def test_every_function_that_reads_the_embedders_key_may_call_its_url(template: dict[str, Any]) -> None:
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {}) if isinstance(resource, dict) else {}  # a list: a loop of alarms
        policies = [*properties.get("Policies", []), properties.get("PolicyDocument", {})]
        statements = [one for policy in policies if isinstance(policy, dict) for one in policy.get("Statement", [])]
        conditions = [one[1][0] for one in statements if isinstance(one, tuple)]
        assert ("HasEmbedderKey" in conditions) == ("HasEmbedderFunction" in conditions), name
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["FORGETLESS_EMBEDDER_IAM"] == ("If", ["HasEmbedderFunction", "1", ""])


@pytest.mark.parametrize("path", sorted((ROOT / ".github/workflows").glob("*.yaml")), ids=lambda path: path.name)
def test_a_pipeline_runs_nobody_elses_actions_and_may_only_read(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert [step for step in steps if "uses" in step] == []
    # What others may choose reaches a script as a variable, never as a part of its text.
    assert [step for step in steps if "${{ inputs" in step["run"] or "${{ github" in step["run"]] == []


def test_only_the_deployment_gets_a_token_for_aws_after_everything_else() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/deploy.yaml").read_text())["jobs"]
    assert {name for name, job in jobs.items() if "id-token" in job.get("permissions", {})} == {"deploy"}
    assert set(jobs["deploy"]["needs"]) == {"test", "scan", "build"}
    assert jobs["build"]["strategy"]["matrix"]["arch"] == ["x86_64", "arm64"]
    assert "pull_request" not in jobs["deploy"]["if"]
