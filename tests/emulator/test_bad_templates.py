"""Templates that nobody can run: one line names the file, the line, what it is about and the mend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from local.emulator.settings import read_parameters
from local.emulator.specs import Place, TemplateError
from local.emulator.template.reader import read_template
from tests.emulator.fidelity import own

Project = Callable[..., Path]
FUNCTION = "{Type: AWS::Serverless::Function, Properties: {CodeUri: code, Handler: app.handler}}"
#: The text of a template, and the line that it must lead to.
BAD = {
    "a circle of conditions": (
        "Conditions:\n  A: !Not [{Condition: B}]\n  B: !Not [{Condition: A}]\n"
        f"Resources:\n  F: {FUNCTION}\n  G: {{Type: T, Condition: A}}\n",
        "template.yaml:2: A: condition A -> condition B -> condition A is a circle: take one of the references out",
    ),
    "a name that refers to itself": (
        "Resources:\n  Q: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub 'x-${Q}'}}\n",
        "template.yaml:2: Q: name of Q -> name of Q is a circle: take one of the references out",
    ),
    "two names that refer to each other": (
        "Resources:\n  Q: {Type: AWS::SQS::Queue, Properties: {QueueName: !GetAtt R.QueueName}}\n"
        "  R: {Type: AWS::SQS::Queue, Properties: {QueueName: !GetAtt Q.QueueName}}\n",
        "template.yaml:3: R: name of R -> name of Q -> name of R is a circle: take one of the references out",
    ),
    "an anchor in itself": (
        f"Resources: &r\n  F: {FUNCTION}\n  G: {{Type: T, Metadata: *r}}\n",
        "template.yaml:3: G: it holds the anchor of itself: write out what is meant",
    ),
    "a resource that is there twice": (
        f"Resources:\n  F: {FUNCTION}\n  G: {{Type: T}}\n  F: {FUNCTION}\n",
        "template.yaml:4: F: Resources has it in line 2 too: rename one",
    ),
    "a section that is there twice": (
        f"Resources:\n  F: {FUNCTION}\nResources:\n  G: {FUNCTION}\n",
        "template.yaml:3: Resources: the template has it in line 1 too: rename one",
    ),
    "no YAML": (
        "Resources:\n  F: {Type: T\n  G: x\n",
        "template.yaml:3: not valid YAML: did not find expected ',' or '}'",
    ),
    "a tab": ("Resources:\n\tF: {}\n", "template.yaml:2: not valid YAML: found character that cannot start any token"),
    "a control character": ("Resources:\n  F: '\x01'\n", "template.yaml: not valid YAML: "),
    "events as a list": (
        "Resources:\n  F: {Type: AWS::Serverless::Function, Properties: {Handler: a.b, CodeUri: code,\n"
        "    Events: [{Type: HttpApi}]}}\n",
        "template.yaml:2: F: Events must be a mapping of names to values, not a list",
    ),
    "an event as a text": (
        "Resources:\n  F: {Type: AWS::Serverless::Function, Properties: {Handler: a.b, CodeUri: code,\n"
        "    Events: {Get: HttpApi}}}\n",
        "template.yaml:2: F: event Get must be a mapping of names to values, not a text",
    ),
    "an Enabled that is neither": (
        "Resources:\n  F: {Type: AWS::Serverless::Function, Properties: {Handler: a.b, CodeUri: code,\n"
        "    Events: {S: {Type: Schedule, Properties: {Schedule: rate(1 minute), Enabled: maybe}}}}}\n",
        "template.yaml:2: F: Enabled is true or false, not maybe",
    ),
    "a filter that is no JSON": (
        "Resources:\n  F: {Type: AWS::Serverless::Function, Properties: {Handler: a.b, CodeUri: code,\n"
        "    Events: {S: {Type: SQS, Properties: {Queue: q, FilterCriteria: {Filters: [{Pattern: body}]}}}}}}\n",
        "template.yaml:2: F: the Pattern body is not JSON",
    ),
    "a parameter as a text": (
        f"Parameters: {{P: String}}\nResources:\n  F: {FUNCTION}\n",
        "template.yaml:1: Parameters: parameter P must be a mapping of names to values, not a text",
    ),
    "an unknown condition": (
        "Resources:\n  F: {Type: T, Condition: Missing}\n",
        "template.yaml:2: F: unknown condition Missing",
    ),
}


@pytest.mark.parametrize(("text", "line"), list(BAD.values()), ids=list(BAD))
@own("errors")
def test_a_template_that_nobody_can_run_is_one_line_with_the_mend(project: Project, text: str, line: str) -> None:
    path = project(text, code__app="")
    with pytest.raises(TemplateError) as refused:
        read_template(path, Place())
    assert str(refused.value).startswith(f"{path.parent}/{line}")
    assert "\n" not in str(refused.value)


@own("errors")
def test_a_byte_of_another_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_bytes(b"# one\n# caf\xe9\nResources: {}\n")
    with pytest.raises(TemplateError) as refused:
        read_template(path, Place())
    assert str(refused.value) == f"{path}:2: the byte 0xe9 is not UTF-8: save the file in that encoding"


@own("errors")
def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_bytes(b"\xef\xbb\xbfResources: {T: {Type: AWS::SNS::Topic}}\n")
    assert read_template(path, Place()).functions == {}


@pytest.mark.parametrize("given", ["Stage", "=dev", ""])
@own("command line")
def test_a_parameter_needs_a_name_and_a_value(given: str) -> None:
    with pytest.raises(TemplateError, match="must be NAME=VALUE"):
        read_parameters(["Fine=", given])


@own("command line")
def test_a_parameter_may_be_empty_and_may_hold_an_equals_sign() -> None:
    assert read_parameters(["A=", "B=x=y"]) == {"A": "", "B": "x=y"}
