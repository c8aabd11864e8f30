"""The promises of template.yaml: least privilege, queues that fit their functions, log retention, alarms."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.ledger_dynamodb import item_keys
from forgetless.adapters.ledger_dynamodb.erasure_log import LOG_DEFINITION
from forgetless.domain.audit import AUDIT, AUDIT_KEY
from forgetless.domain.bulk_jobs import MOST_RANGES
from forgetless.domain.limits import (
    BULK_MARGIN_S,
    BULK_PORTION_S,
    JOB_S,
    LEASE_MARGIN_S,
    LLM_WAITS,
    MOST_DELIVERIES,
    REQUEST_S,
    VISIBILITY_S,
)
from forgetless.service.access.keys import USE
from forgetless.service.jobs.bulk import LOST_AFTER_S
from forgetless.service.jobs.sweep import PART_S
from forgetless.service.webhooks.delivery import RUN_S, SEND_S
from forgetless.service.writing.infer import LONGEST_LEASE_S
from local.emulator.template.document import read_document
from tests.function_rights import FUNCTIONS, statements

ROOT = Path(__file__).parents[2]
DOCUMENT = read_document(ROOT / "template.yaml")
TEMPLATE = DOCUMENT.content
EMBEDDER = read_document(ROOT / "template-embedder.yaml").content
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]

WRITES = {f"dynamodb:{verb}" for verb in ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem")}
#: A function's resource policy ends at 20 KB, and SAM adds a statement for each of its events.
MOST_EVENTS = 20


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    return {name: one.get("Properties", {}) for name, one in RESOURCES.items() if one["Type"] == kind}


def actions(function: str, service: str) -> set[str]:
    lists = [one["Action"] if isinstance(one["Action"], list) else [one["Action"]] for one in statements(function)]
    return {action for listed in lists for action in listed if action.startswith(service)}


def sends(function: str, queue: str) -> bool:
    arn = {"Fn::GetAtt": [queue, "Arn"]}
    return any(one["Action"] == ["sqs:SendMessage"] and one["Resource"] == arn for one in statements(function))


def secrets(function: str) -> set[str]:
    return {one["Resource"]["Ref"] for one in statements(function) if one["Action"] == "secretsmanager:GetSecretValue"}


def patterns_of(statement: Any) -> list[re.Pattern[str]]:
    """The partition keys that a statement allows; it allows nothing without one."""
    condition = statement["Condition"]
    assert condition["Null"] == {"dynamodb:LeadingKeys": "false"}
    (patterns,) = condition["ForAllValues:StringLike"].values()
    return [re.compile(re.escape(one).replace(r"\*", ".*")) for one in patterns]


def test_search_can_read_the_table_note_that_a_key_is_used_count_and_do_nothing_else() -> None:
    reads = {"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"}
    assert actions("SearchFunction", "dynamodb:") == {*reads, "dynamodb:PutItem", "dynamodb:UpdateItem"}
    assert actions("SearchFunction", "sqs:") == set()
    (writes,) = (one for one in statements("SearchFunction") if "dynamodb:PutItem" in one["Action"])
    assert writes["Action"] == ["dynamodb:PutItem"]
    allowed = patterns_of(writes)
    (counts,) = (one for one in statements("SearchFunction") if "dynamodb:UpdateItem" in one["Action"])
    assert counts["Action"] == ["dynamodb:UpdateItem"]
    (countable,) = patterns_of(counts)
    for tenant in ("default", "acme corp", "a#key-use"):
        for kind in (USE, AUDIT, AUDIT_KEY):
            assert any(one.fullmatch(item_keys.document(tenant, kind, "key").pk) for one in allowed)
        counters = [item_keys.usage(tenant, 7, period, "key").pk for period in ("2026-11", "2026-11-28T02:15")]
        assert all(countable.fullmatch(pk) for pk in counters)
        others = [
            item_keys.document(tenant, "webhook", "key").pk,
            item_keys.document(tenant, "webhook#key-use", "key").pk,
            item_keys.head(tenant, "key-use").pk,
            item_keys.api_key("key-use").pk,
            item_keys.api_keys("D#key-use"),
            item_keys.erasures(tenant).pk,
        ]
        assert not [pk for pk in others for one in (*allowed, countable) if one.fullmatch(pk)]
        assert not [pk for pk in counters for one in allowed if one.fullmatch(pk)]


def test_no_function_can_scan_administer_or_reach_another_resource() -> None:
    for function in FUNCTIONS:
        # A tenant's deletion finds its items by reading the table. No request reaches the function bulk.
        scans = {"dynamodb:Scan"} if function == "BulkFunction" else set()
        for one in statements(function):
            listed = one["Action"] if isinstance(one["Action"], list) else [one["Action"]]
            listed = [action for action in listed if action not in scans]
            assert not [action for action in listed if "*" in action or "Scan" in action or "Table" in action]
            assert one["Resource"] != "*"
            assert set(one["Resource"]) & {"Ref", "Fn::GetAtt", "Fn::Sub"}


def test_who_writes_and_who_sends() -> None:
    assert {name for name in FUNCTIONS if actions(name, "dynamodb:") >= WRITES - {"dynamodb:BatchWriteItem"}} == (
        set(FUNCTIONS) - {"SearchFunction"}
    )
    senders = {"MemoriesFunction", "McpFunction", "SweepFunction"}
    assert {name for name in FUNCTIONS if sends(name, "IngestQueue")} == senders
    assert {name for name in FUNCTIONS if sends(name, "BulkQueue")} == senders | {"BulkFunction"}
    assert actions("IngestFunction", "sqs:") == {"sqs:ChangeMessageVisibility"}, "the event source adds what it needs"


def test_only_what_works_off_lists_reads_the_secondary_index() -> None:
    def reads(function: str) -> bool:
        return any("index" in str(one["Resource"]) for one in statements(function))

    assert {name for name in FUNCTIONS if reads(name)} == {"BulkFunction", "SweepFunction", "WebhooksFunction"}


def test_a_function_reads_the_secrets_that_it_uses_alone() -> None:
    every = {"MilvusTokenSecret", "EmbedderKeySecret", "NextEmbedderKeySecret"}
    assert secrets("SearchFunction") == secrets("SweepFunction") == secrets("BulkFunction") == every
    for function in ("MemoriesFunction", "McpFunction", "IngestFunction"):
        assert secrets(function) == every | {"LlmKeySecret"}


def test_a_secret_is_a_parameter_for_an_arn_and_never_the_secret_itself() -> None:
    variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    for name in (
        "FORGETLESS_MILVUS_TOKEN",
        "FORGETLESS_EMBEDDER_API_KEY",
        "FORGETLESS_NEXT_EMBEDDER_API_KEY",
        "OPENAI_API_KEY",
    ):
        parameter = variables[name]["Ref"]
        assert "ARN" in TEMPLATE["Parameters"][parameter]["Description"]
        assert TEMPLATE["Parameters"][parameter]["Default"] == ""


def test_the_resource_policy_of_no_function_outgrows_its_limit() -> None:
    for name, function in FUNCTIONS.items():
        assert len(function["Events"]) <= MOST_EVENTS, name


def test_what_search_does_not_serve_goes_to_memories() -> None:
    assert "Path" not in FUNCTIONS["MemoriesFunction"]["Events"]["Rest"]["Properties"]
    assert {event["Properties"].get("Path") for event in FUNCTIONS["SearchFunction"]["Events"].values()} >= {"/search"}


def test_the_queues_settings_fit_its_function() -> None:
    ingest, queue = FUNCTIONS["IngestFunction"], of_type("AWS::SQS::Queue")["IngestQueue"]
    trigger = ingest["Events"]["Jobs"]["Properties"]
    assert queue["VisibilityTimeout"] >= 6 * ingest["Timeout"]
    assert queue["FifoQueue"] is True
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["IngestDlq", "Arn"]}
    assert trigger["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert trigger["ScalingConfig"]["MaximumConcurrency"] == {"Ref": "IngestConcurrency"}
    assert TEMPLATE["Parameters"]["IngestConcurrency"]["MinValue"] == 2, "the event source takes no less"


def test_bulk_jobs_may_feed_their_own_queue_which_is_fair_to_tenants() -> None:
    bulk, queue = FUNCTIONS["BulkFunction"], of_type("AWS::SQS::Queue")["BulkQueue"]
    assert bulk["RecursiveLoop"] == "Allow", "otherwise Lambda stops a function that feeds its own queue"
    assert not [name for name in FUNCTIONS if name != "BulkFunction" and "RecursiveLoop" in FUNCTIONS[name]]
    assert "FifoQueue" not in queue, "in a FIFO queue, a message group is served one by one and cannot be delayed"
    assert queue["VisibilityTimeout"] >= 6 * bulk["Timeout"]
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["BulkDlq", "Arn"]}
    trigger = bulk["Events"]["Portions"]["Properties"]
    assert (trigger["BatchSize"], trigger["FunctionResponseTypes"]) == (1, ["ReportBatchItemFailures"])
    assert trigger["ScalingConfig"]["MaximumConcurrency"] == {"Ref": "BulkConcurrency"}
    # One tenant has a lane for its jobs and those of a reindex, and must leave a place to others.
    assert TEMPLATE["Parameters"]["BulkConcurrency"]["Default"] > 1 + MOST_RANGES
    assert bulk["Timeout"] == BULK_PORTION_S + BULK_MARGIN_S < LOST_AFTER_S


def test_times_and_attempts_agree_with_the_limits_in_the_code() -> None:
    queue = of_type("AWS::SQS::Queue")["IngestQueue"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == MOST_DELIVERIES
    assert queue["VisibilityTimeout"] == VISIBILITY_S
    assert FUNCTIONS["IngestFunction"]["Timeout"] == JOB_S + LEASE_MARGIN_S == LONGEST_LEASE_S
    # What is left after waiting is for storing the outcome and for the answer; the gateway gives up at 30 s.
    assert REQUEST_S + 4 <= TEMPLATE["Globals"]["Function"]["Timeout"] < 30
    api = {name for name, one in FUNCTIONS.items() if "Timeout" not in one}
    assert {"SearchFunction", "MemoriesFunction", "McpFunction"} <= api
    # In the emulator, one tenant's requests that wait for the LLM leave half of a function to others.
    for name in ("MemoriesFunction", "McpFunction"):
        assert TEMPLATE["Resources"][name]["Metadata"]["EmulatorMaxEnvironments"] == 2 * LLM_WAITS
    # A run of these ends well before its function, whatever it began last.
    assert FUNCTIONS["WebhooksFunction"]["Timeout"] >= RUN_S + 2 * SEND_S
    assert FUNCTIONS["SweepFunction"]["Timeout"] > 3 * PART_S


def test_every_function_writes_to_a_log_group_of_its_own_that_forgets() -> None:
    groups = of_type("AWS::Logs::LogGroup")
    used = [function["LoggingConfig"]["LogGroup"]["Ref"] for function in FUNCTIONS.values()]
    assert len(set(used)) == len(FUNCTIONS)
    assert set(used) < set(groups)
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups.values())


def test_a_change_of_the_layer_alone_publishes_a_version() -> None:
    assert all(function["AutoPublishAliasAllProperties"] is True for function in FUNCTIONS.values())


@pytest.mark.parametrize(
    ("metric", "of"),
    [
        ("ApproximateNumberOfMessagesVisible", "IngestDlq"),
        ("ApproximateNumberOfMessagesVisible", "BulkDlq"),
        ("ApproximateNumberOfMessagesVisible", "ScheduleDlq"),
        *(("ExecutedVersion", f"{function}Function.Version") for function in ("Memories", "Search", "Mcp")),
        ("ApproximateAgeOfOldestMessage", "IngestQueue"),
        ("ApproximateNumberOfMessagesNotVisible", "IngestQueue"),
        ("5xx", "HttpApi"),
        *((metric, function) for function in FUNCTIONS for metric in ("Errors", "Throttles", "Duration")),
        ("ResourceCount", "ConcurrentExecutions"),
        *(("DependencyErrors", part) for part in ("Embedder", "Index", "Ledger", "Queue")),
        ("ReadThrottleEvents", "Ledger"),
        ("WriteThrottleEvents", "Ledger"),
    ],
)
def test_an_alarm_rings_for(metric: str, of: str) -> None:
    alarms = of_type("AWS::CloudWatch::Alarm").values()
    assert [alarm for alarm in alarms if f"'{metric}'" in str(alarm) and f"'{of}" in str(alarm)]
    assert all(alarm["TreatMissingData"] == "notBreaching" for alarm in alarms)


def test_a_function_is_slow_at_nine_tenths_of_its_time_out() -> None:
    default = TEMPLATE["Globals"]["Function"]["Timeout"]
    slow = {name.removesuffix("Function"): 900 * one.get("Timeout", default) for name, one in FUNCTIONS.items()}
    assert {name: values["P99"] for name, values in TEMPLATE["Mappings"]["SlowMs"].items()} == slow


def test_what_functions_have_in_common_is_written_once() -> None:
    alarms = [name for name, one in RESOURCES.items() if one["Type"] == "AWS::CloudWatch::Alarm"]
    written = (ROOT / "template.yaml").read_text().count("Type: AWS::CloudWatch::Alarm")
    assert (len(alarms), written) == (40, 14)


def test_a_function_behind_the_api_is_replaced_bit_by_bit_and_others_at_once() -> None:
    assert TEMPLATE["Globals"]["Function"]["DeploymentPreference"] == {"Type": "AllAtOnce"}
    behind = {
        name for name, one in FUNCTIONS.items() if any(event["Type"] == "HttpApi" for event in one["Events"].values())
    }
    preferences = {name: one.get("DeploymentPreference") for name, one in FUNCTIONS.items()}
    assert {name for name, one in preferences.items() if one} == behind
    for name in behind:
        alarm = f"{name.removesuffix('Function')}VersionAlarm"
        assert preferences[name] == {"Type": "Canary10Percent5Minutes", "Alarms": [{"Ref": alarm}]}
        dimensions = {one["Name"]: one["Value"] for one in of_type("AWS::CloudWatch::Alarm")[alarm]["Dimensions"]}
        assert dimensions["ExecutedVersion"] == {"Fn::GetAtt": [f"{name}.Version", "Version"]}
        assert dimensions["Resource"] == {"Fn::Join": [":", [{"Ref": name}, "live"]]}


def test_no_alarm_of_a_deployment_depends_on_the_api_which_depends_on_the_aliases() -> None:
    alarms = of_type("AWS::CloudWatch::Alarm")
    named = [
        one["Ref"]
        for function in FUNCTIONS.values()
        for one in function.get("DeploymentPreference", {}).get("Alarms", [])
    ]
    assert len(named) == 3
    assert [name for name in named if "HttpApi" in str(alarms[name])] == []


def test_a_schedules_event_is_tried_again_for_a_minute_and_kept_when_it_fails() -> None:
    for name in ("SweepFunction", "WebhooksFunction"):
        (event,) = (one["Properties"] for one in FUNCTIONS[name]["Events"].values())
        assert event["RetryPolicy"] == {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 60}
        assert event["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["ScheduleDlq", "Arn"]}}


def test_everything_that_can_be_billed_by_stage_says_its_stage() -> None:
    stage = {"Ref": "Stage"}
    assert (
        TEMPLATE["Globals"]["Function"]["Tags"]["stage"] == RESOURCES["HttpApi"]["Properties"]["Tags"]["stage"] == stage
    )
    for kind in ("AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::Logs::LogGroup", "AWS::SNS::Topic"):
        assert of_type(kind)
        assert all({"Key": "stage", "Value": stage} in one["Tags"] for one in of_type(kind).values()), kind


def test_a_key_of_the_account_encrypts_tables_queues_and_logs_and_every_function_may_use_it() -> None:
    key = {"Ref": "DataKmsKey"}
    for kind in ("AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::Logs::LogGroup"):
        assert all(str(key) in str(one) for name, one in of_type(kind).items() if name != "ScheduleDlq"), kind
    assert all(any(one["Resource"] == key for one in statements(name)) for name in FUNCTIONS)


def test_what_several_functions_may_do_is_written_once() -> None:
    written = [one for name in RESOURCES for one in _own_statements(name)]
    assert len(written) == len({str(one) for one in written} - {str(_KMS)}) + written.count(_KMS)
    shared = of_type("AWS::IAM::ManagedPolicy")
    assert {name: sum(str({"Ref": name}) in str(one["Policies"]) for one in FUNCTIONS.values()) for name in shared} == {
        "ReadPolicy": 7, "WritePolicy": 6, "SendPolicy": 3, "HidePolicy": 2, "ErasePolicy": 4, "ConnectPolicy": 6,
        "LlmPolicy": 3,
    }  # fmt: skip


#: Of two policies, for each may stand without the other.
_KMS = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": {"Ref": "SecretsKmsKey"}}


def _own_statements(name: str) -> list[dict[str, Any]]:
    """What stands in the resource itself, without Sid, which is no part of what is allowed."""
    properties = TEMPLATE["Resources"][name].get("Properties", {})
    policies = [one for one in properties.get("Policies", []) if "Statement" in one]
    found = [one for policy in [*policies, properties.get("PolicyDocument", {})] for one in policy.get("Statement", [])]
    plain = [one["Fn::If"][1] if "Fn::If" in one else one for one in found]
    # The two that read an index list different things, and no other function does.
    return [{key: value for key, value in one.items() if key != "Sid"} for one in plain if "index" not in str(one)]


def test_the_ledger_outlives_mistakes() -> None:
    ledger = RESOURCES["Ledger"]
    assert (ledger["DeletionPolicy"], ledger["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert ledger["Properties"]["DeletionProtectionEnabled"] == {"Ref": "DeletionProtection"}
    assert TEMPLATE["Parameters"]["DeletionProtection"]["Default"] == "true"
    assert ledger["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_the_log_of_erasures_is_a_table_of_its_own_which_only_erasing_functions_write() -> None:
    log = RESOURCES["Erasures"]
    assert (log["DeletionPolicy"], log["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert {name: log["Properties"][name] for name in LOG_DEFINITION} == LOG_DEFINITION
    variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["FORGETLESS_ERASURES_TABLE"] == {"Ref": "Erasures"}
    arn = {"Fn::GetAtt": ["Erasures", "Arn"]}
    rights = {name: [one["Action"] for one in statements(name) if one["Resource"] == arn] for name in FUNCTIONS}
    noting = {"MemoriesFunction", "McpFunction", "SweepFunction", "BulkFunction"}
    assert {name for name, given in rights.items() if given} == noting
    assert all(rights[name] == [["dynamodb:GetItem", "dynamodb:PutItem"]] for name in noting)


def test_functions_are_traced_only_if_somebody_asks_for_it() -> None:
    assert TEMPLATE["Globals"]["Function"]["Tracing"] == {"Ref": "Tracing"}
    assert not [name for name, one in FUNCTIONS.items() if "Tracing" in one]


def test_nothing_that_costs_money_when_idle_is_on_by_default() -> None:
    parameters = TEMPLATE["Parameters"]
    assert parameters["Tracing"]["Default"] == "PassThrough"
    assert parameters["SnapStart"]["Default"] == "false"
    assert parameters["SearchConcurrency"]["Default"] == parameters["MemoriesConcurrency"]["Default"] == 0
    assert parameters["SearchProvisioned"]["Default"] == parameters["MemoriesProvisioned"]["Default"] == 0
    assert parameters["DataKmsKey"]["Default"] == ""
    assert EMBEDDER["Parameters"]["Kind"]["Default"] == "lambda"
    always_on = [name for name, one in EMBEDDER["Resources"].items() if "Condition" not in one]
    assert always_on == ["Logs"]


def test_the_embedders_load_balancer_is_internal_and_asks_what_is_ready() -> None:
    resources = EMBEDDER["Resources"]
    assert resources["Balancer"]["Properties"]["Scheme"] == "internal"
    assert resources["Targets"]["Properties"]["HealthCheckPath"] == "/ready"


def test_the_deployment_page_explains_every_parameter() -> None:
    page = (ROOT / "docs/deploy.md").read_text()
    assert [name for name in (*TEMPLATE["Parameters"], *EMBEDDER["Parameters"]) if f"`{name}`" not in page] == []
