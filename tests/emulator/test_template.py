"""Reading templates: intrinsic functions, Globals, events, and errors that name resource and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from local.emulator.specs import Place, Template, TemplateError
from local.emulator.template.document import read_document
from local.emulator.template.intrinsics import Resolver
from local.emulator.template.loops import unrolled
from local.emulator.template.reader import read_template
from tests.emulator.fidelity import documented, own
from tests.emulator.odd_templates import read_with_odd_parts

Project = Callable[..., Path]

WHOLE = """
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String, Default: dev}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
Globals:
  Function:
    Runtime: python3.13
    Timeout: 5
    Layers: [!Ref Layer]
    Environment: {Variables: {STAGE: !Ref Stage, BOTH: global}}
Resources:
  Layer: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: code}}
  Api:
    Type: AWS::Serverless::HttpApi
    Properties: {StageName: $default}
  Hello:
    Type: AWS::Serverless::Function
    Metadata: {EmulatorMaxEnvironments: 16}
    Properties:
      CodeUri: code
      Handler: app.handler
      MemorySize: 512
      Environment:
        Variables:
          BOTH: own
          QUEUE: !Ref Work
          ARN: !GetAtt Work.Arn
          TABLE: !Ref Table
          TEXT: !Sub '${Stage}-${AWS::Region}-${Work.QueueName}-${!kept}'
          CHOSEN: !If [IsProd, yes, no]
          JOINED: !Join ['-', [a, !Ref Stage]]
          GONE: !If [IsProd, x, !Ref 'AWS::NoValue']
      Policies: [{SQSSendMessagePolicy: {QueueName: !ImportValue Elsewhere}}]
      Events:
        Search: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /search, Method: post}}
        Rest: {Type: HttpApi, Properties: {ApiId: !Ref Api}}
        Work: {Type: SQS, Properties: {Queue: !GetAtt Work.Arn, BatchSize: 5,
               FunctionResponseTypes: [ReportBatchItemFailures]}}
        Tick: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(5 minutes), Input: '{"job":"sweep"}'}}
  OnlyInProduction:
    Type: AWS::Serverless::Function
    Condition: IsProd
    Properties: {CodeUri: code, Handler: app.handler}
  Work:
    Type: AWS::SQS::Queue
    Properties:
      FifoQueue: true
      VisibilityTimeout: 30
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 5}
  Dead: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true}}
  Table: {Type: AWS::DynamoDB::Table, Properties: {TableName: !Sub 'ledger-${Stage}'}}
  Stream: {Type: AWS::Kinesis::Stream}
"""


@pytest.fixture
def read(project: Project) -> Callable[..., Template]:
    def reader(template: str, **parameters: str) -> Template:
        return read_template(project(template, code__app=""), Place(), parameters)

    return reader


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STAGE", "dev"),
        ("BOTH", "own"),
        ("QUEUE", "http://127.0.0.1:9324/123456789012/Work.fifo"),
        ("ARN", "arn:aws:sqs:us-east-1:123456789012:Work.fifo"),
        ("TABLE", "ledger-dev"),
        ("TEXT", "dev-us-east-1-Work.fifo-${kept}"),
        ("CHOSEN", "false"),
        ("JOINED", "a-dev"),
        ("GONE", None),
    ],
)
@documented("CloudFormation and SAM references")
def test_variables_are_resolved(read: Callable[..., Template], name: str, value: str | None) -> None:
    assert read(WHOLE).functions["Hello"].variables.get(name) == value


@documented("CloudFormation and SAM references")
def test_globals_are_merged_into_functions(read: Callable[..., Template], tmp_path: Path) -> None:
    spec = read(WHOLE).functions["Hello"]
    assert (spec.timeout, spec.memory, spec.max_environments) == (5, 512, 16)
    assert spec.layers == (tmp_path / "code",)


@documented("CloudFormation and SAM references")
def test_parameters_are_overridable_and_conditions_follow(read: Callable[..., Template]) -> None:
    template = read(WHOLE, Stage="prod")
    assert template.functions["Hello"].variables["STAGE"] == "prod"
    assert set(template.functions) == {"Hello", "OnlyInProduction"}


@documented("CloudFormation and SAM references")
def test_events_become_routes_queues_and_schedules(read: Callable[..., Template]) -> None:
    template = read(WHOLE)
    assert [route.key for route in template.apis[0].routes] == ["POST /search", "$default"]
    event = template.queue_events[0]
    assert (event.queue, event.batch_size, event.report_failures) == ("Work.fifo", 5, True)
    assert template.schedules[0].payload == '{"job":"sweep"}'
    assert [queue.name for queue in template.queues] == ["Dead.fifo", "Work.fifo"]


@own("warnings")
def test_what_is_not_emulated_is_named(read: Callable[..., Template]) -> None:
    told = " ".join(read(WHOLE).warnings)
    assert "Stream: AWS::Kinesis::Stream is not emulated" in told


@own("warnings")
def test_a_layer_of_someone_else_is_warned_of(read: Callable[..., Template]) -> None:
    arn = "arn:aws:lambda:us-east-1:017000801446:layer:Powertools:1"
    template = read(WHOLE.replace("Layers: [!Ref Layer]", f"Layers: ['{arn}', !Ref Layer]"))
    assert f"Hello: layer {arn} is not fetched" in " ".join(template.warnings)
    assert len(template.functions["Hello"].layers) == 1


BROKEN = {
    "Timeout must lie between": "Handler: app.handler, CodeUri: code, Timeout: 901",
    "environment variables take": f"Handler: a.b, CodeUri: code, Environment: {{Variables: {{A: {'x' * 4096}}}}}",
    "is not a LayerVersion": "Handler: a.b, CodeUri: code, Layers: [!Ref Broken]",
    "BatchSize is 1 to 10": "Handler: a.b, CodeUri: code, Events: {E: {Type: SQS, Properties: {BatchSize: 10001}}}",
    "needs MaximumBatchingWindowInSeconds": "Handler: a.b, CodeUri: code, Events: {E: {Type: SQS, Properties: "
    "{BatchSize: 11}}}",
    "MaximumBatchingWindowInSeconds is 0 to 300": "Handler: a.b, CodeUri: code, Events: {E: {Type: SQS, Properties: "
    "{MaximumBatchingWindowInSeconds: 301}}}",
    "MaximumConcurrency is 2 to 1000": "Handler: a.b, CodeUri: code, Events: {E: {Type: SQS, Properties: "
    "{ScalingConfig: {MaximumConcurrency: 1}}}}",
    "not rate": "Handler: a.b, CodeUri: code, Events: {E: {Type: Schedule, Properties: {Schedule: often}}}",
    "Events must be a mapping of names to values, not a list": "Handler: a.b, CodeUri: code, Events: [1]",
    "a property has an unexpected form": "Handler: a.b, CodeUri: code, ReservedConcurrentExecutions: many",
    "five layers": "Handler: a.b, CodeUri: code, Layers: [!Ref L, !Ref L, !Ref L, !Ref L, !Ref L, !Ref L]",
    "authorizer A is not declared": "Handler: a.b, CodeUri: code, Events: {E: {Type: HttpApi, Properties: "
    "{Auth: {Authorizer: A}}}}",
}


@pytest.mark.parametrize(("told", "properties"), list(BROKEN.items()), ids=list(BROKEN))
@own("errors")
def test_an_error_names_the_resource_and_its_line(read: Callable[..., Template], told: str, properties: str) -> None:
    text = f"Resources:\n\n  Broken: {{Type: AWS::Serverless::Function, Properties: {{{properties}}}}}\n"
    text += "  L: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: code}}\n"
    with pytest.raises(TemplateError, match=rf"template.yaml:3: Broken: .*{told}"):
        read(text)


@own("errors")
def test_whatever_stands_where_the_template_is_read_or_an_error_names_the_file(project: Project) -> None:
    """Every node of a whole template is replaced by things of other forms."""
    assert read_with_odd_parts(project(WHOLE, code__app="")) > 100


@own("warnings")
def test_what_a_property_would_change_on_aws_is_named(read: Callable[..., Template]) -> None:
    template = read(
        WHOLE.replace("MemorySize: 512", "MemorySize: 512\n      EventInvokeConfig: {MaximumRetryAttempts: 0}")
    )
    assert "Hello: EventInvokeConfig is not emulated" in " ".join(template.warnings)


@documented("Lambda: with-sqs")
def test_a_visibility_below_the_functions_timeout_is_refused(read: Callable[..., Template]) -> None:
    with pytest.raises(TemplateError, match="VisibilityTimeout 3 s is below the time-out of Hello"):
        read(WHOLE.replace("VisibilityTimeout: 30", "VisibilityTimeout: 3"))


LOOPED = """
Resources:
  Fn::ForEach::Workers:
    - Name
    - [One, Two]
    - ${Name}Function:
        Type: AWS::Serverless::Function
        Properties:
          CodeUri: code
          Handler: app.handler
          Environment: {Variables: {QUEUE: {Ref: !Sub '${Name}Queue'}, NAME: !Ref Name, BOTH: !Sub 'is ${Name}'}}
      ${Name}Queue: {Type: AWS::SQS::Queue}
"""


@documented("CloudFormation User Guide, Fn::ForEach")
def test_a_loop_makes_its_resources_for_each_value(project: Callable[..., Path]) -> None:
    found = read_template(project(LOOPED, code__app=""), Place("us-east-1", "http://queue"))
    assert set(found.functions) == {"OneFunction", "TwoFunction"}
    assert {spec.line for spec in found.functions.values()} == {3}
    assert {queue.name for queue in found.queues} == {"OneQueue", "TwoQueue"}
    variables = found.functions["TwoFunction"].variables
    assert (variables["NAME"], variables["BOTH"]) == ("Two", "is Two")
    assert variables["QUEUE"].endswith("/TwoQueue")


@documented("CloudFormation User Guide, Fn::ForEach")
def test_a_loop_may_hold_another_one() -> None:
    inner = {"Fn::ForEach::In": ["B", ["X", "Y-Z"], {"${A}&{B}": {"Type": "T", "V": ["${B}", {"Ref": "A"}]}}]}
    assert unrolled({"Fn::ForEach::Out": ["A", ["P", "Q"], inner], "Own": {"Type": "U"}})[0] == {
        "PX": {"Type": "T", "V": ["X", "P"]},
        "PYZ": {"Type": "T", "V": ["Y-Z", "P"]},
        "QX": {"Type": "T", "V": ["X", "Q"]},
        "QYZ": {"Type": "T", "V": ["Y-Z", "Q"]},
        "Own": {"Type": "U"},
    }


@own("loops through parameters are not expanded")
@pytest.mark.parametrize(
    ("loop", "reason"),
    [
        ("nothing", "a loop is a list of"),
        (["A", ["X"]], "a loop is a list of"),
        (["A", {"Ref": "Names"}, {}], "only loops through a list of texts"),
        (["A", ["X"], {"Fn::ForEach::In": ["B", {"Ref": "Names"}, {}]}], "Fn::ForEach::In in it is left out: only"),
    ],
)
def test_a_loop_of_another_form_is_left_out_and_named(loop: object, reason: str) -> None:
    made, left_out = unrolled({"Fn::ForEach::Odd": loop, "Own": {"Type": "U"}, "Fn::Transform": {"Name": "N"}})
    assert made == {"Own": {"Type": "U"}}
    assert reason in left_out["Fn::ForEach::Odd"]
    assert "not carried out" in left_out["Fn::Transform"]


@documented("CloudFormation User Guide, Fn::ForEach")
def test_a_loop_that_makes_a_name_twice_is_refused() -> None:
    with pytest.raises(TemplateError, match="two resources X"):
        unrolled({"Fn::ForEach::Bad": ["A", ["X", "X"], {"${A}": {}}]})


@documented("SAM developer guide, generated CloudFormation resources")
def test_the_version_of_a_function_can_be_named_as_sam_allows(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(WHOLE)
    resolver = Resolver(read_document(path), Place())
    assert resolver.resolve({"Fn::GetAtt": ["Hello.Version", "Version"]}) == "Hello.Version.Version"
    assert resolver.resolve({"Ref": "Hello.Alias"}) == "Hello.Alias"
    with pytest.raises(TemplateError, match=r"unknown parameter or resource Nobody\.Version"):
        resolver.resolve({"Fn::GetAtt": ["Nobody.Version", "Version"]})
