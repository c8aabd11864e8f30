"""Functions in real runtimes: their answers, errors, time-outs and environments."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from local.emulator.settings import Overrides
from tests.emulator.fidelity import assumed, documented, own

pytestmark = pytest.mark.slow

TEMPLATE = """
Globals: {Function: {Runtime: python3.13, Timeout: %(timeout)s}}
Resources:
  Hello:
    Type: AWS::Serverless::Function
    %(extra)s
    Properties:
      CodeUri: code
      Handler: app.handler
      %(properties)s
      Environment: {Variables: {GREETING: hello, QUEUE: !Ref Work}}
      Events: {All: {Type: HttpApi}}
  Work: {Type: AWS::SQS::Queue}
"""
ECHO = """
import json, os, time
COUNT = 0
GO = os.path.join(os.path.dirname(__file__), "go")
def handler(event, context):
    global COUNT
    COUNT += 1
    ask = event.get("queryStringParameters") or {}
    time.sleep(float(ask.get("sleep", 0)))
    while "hold" in ask and not os.path.exists(GO): time.sleep(0.01)
    if "print" in ask: print(ask["print"])
    if "exit" in ask: os._exit(3)
    if "fail" in ask: raise ValueError("on purpose")
    if "size" in ask: return "x" * int(ask["size"])
    if "env" in ask: return {"statusCode": 200, "body": os.environ.get(ask["env"], "")}
    left = context.get_remaining_time_in_millis()
    return {"count": COUNT, "pid": os.getpid(), "left": left, "id": context.aws_request_id,
            "arn": context.invoked_function_arn, "name": context.function_name}
"""


def template(timeout: float = 60, extra: str = "", properties: str = "") -> str:
    return TEMPLATE % {"timeout": timeout, "extra": extra, "properties": properties}


def message(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["message"]


FAILED = (500, "Internal Server Error")
UNAVAILABLE = (503, "Service Unavailable")


@documented("Lambda: lambda-runtime-environment")
def test_an_environment_keeps_its_globals_between_invocations(start: Any) -> None:
    running = start(template(), code__app=ECHO)
    first, second = (running.http.get("/").json() for _ in range(2))
    assert (first["count"], second["count"]) == (1, 2)
    assert first["pid"] == second["pid"]
    assert running.status()["functions"]["Hello"]["pids"] == [first["pid"]]


@documented("Lambda: python-context")
def test_the_context_says_who_and_how_long(start: Any) -> None:
    answer = start(template(timeout=900), code__app=ECHO).http.get("/").json()
    assert 800_000 < answer["left"] <= 900_000
    assert answer["name"] == "Hello"
    assert answer["arn"] == "arn:aws:lambda:us-east-1:123456789012:function:Hello"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_LAMBDA_FUNCTION_NAME", "Hello"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_python3.13"),
        ("AWS_REGION", "us-east-1"),
        ("GREETING", "from the file"),
        ("NOT_DECLARED", "set over the template"),
    ],
)
@documented("Lambda: configuration-envvars")
def test_a_function_sees_lambdas_variables_and_those_set_over_the_template(start: Any, name: str, value: str) -> None:
    overrides = Overrides({"NOT_DECLARED": "set over the template"}, {"Hello": {"GREETING": "from the file"}})
    running = start(template(), {"overrides": overrides}, code__app=ECHO)
    assert running.http.get("/", params={"env": name}).text == value


@documented("SDKs: service-specific endpoints")
def test_boto3_in_a_function_reaches_the_local_queue(start: Any) -> None:
    code = """
        import boto3, os
        def handler(event, context):
            boto3.client("sqs").send_message(QueueUrl=os.environ["QUEUE"], MessageBody="from the function")
        """
    running = start(template(), code__app=code)
    assert running.http.get("/").status_code == 200
    sqs = running.sqs()
    url = sqs.get_queue_url(QueueName="Work")["QueueUrl"]
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "from the function"


@documented("API Gateway: http-api-develop-integrations-lambda")
def test_every_answer_of_the_gateway_has_a_request_id_and_its_own_are_json(start: Any) -> None:
    text = template().replace("{Type: HttpApi}", "{Type: HttpApi, Properties: {Path: /, Method: GET}}")
    running = start(text, code__app=ECHO)
    for path, status in (("/", 200), ("/nowhere", 404), ("/?fail=1", 500)):
        answer = running.http.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
        assert answer.headers["apigw-requestid"]


@documented("API Gateway: http-api-develop-integrations-lambda")
def test_an_unhandled_error_is_a_500_and_the_environment_stays(start: Any) -> None:
    running = start(template(), code__app=ECHO)
    assert message(running.http.get("/?fail=1")) == FAILED
    assert running.http.get("/").json()["count"] == 2
    assert "ValueError: on purpose" in running.logged("ValueError")


@documented("Lambda: lambda-runtime-environment")
def test_a_timeout_kills_the_environment_and_is_reported(start: Any) -> None:
    running = start(template(timeout=1), code__app=ECHO)
    assert message(running.http.get("/?sleep=30")) == FAILED
    # On a busy machine even the next one may take more than the second that it has.
    after = running.eventually(lambda: (answer := running.http.get("/")).status_code == 200 and answer)
    assert after.json()["count"] == 1
    log = running.logged("Status: timeout")
    assert "Task timed out after 1.00 seconds" in log


@documented("Lambda: lambda-runtime-environment")
def test_an_exit_is_a_500_and_the_next_request_starts_again(start: Any) -> None:
    running = start(template(), code__app=ECHO)
    assert message(running.http.get("/?exit=1")) == FAILED
    assert running.http.get("/").json()["count"] == 1
    assert "Runtime exited with error: exit status 3" in running.logged("Runtime exited")


@documented("API Gateway: http-api-develop-integrations-lambda")
def test_an_import_error_is_a_500_each_time(start: Any) -> None:
    running = start(template(), code__app="import nothing_of_this_name")
    assert [message(running.http.get("/")) for _ in range(2)] == [FAILED, FAILED]
    running.eventually(lambda: running.log().count("Runtime.ImportModuleError") >= 2)


@documented("Lambda: lambda-runtime-environment")
def test_a_slow_initialisation_is_started_again_within_the_invocation(start: Any) -> None:
    code = "import time; time.sleep(0.8)\ndef handler(event, context): return 'late'"
    running = start(template(), {"init_limit": 0.3}, code__app=code)
    assert running.http.get("/").text == "late"
    assert "Phase: init\tStatus: timeout" in running.log()


@documented("Lambda: lambda-runtime-environment")
def test_an_initialisation_beyond_the_timeout_is_a_500(start: Any) -> None:
    running = start(template(timeout=1), {"init_limit": 0.3}, code__app="import time; time.sleep(60)")
    assert message(running.http.get("/")) == FAILED


@documented("Lambda: gettingstarted-limits")
def test_an_answer_above_six_megabytes_is_a_500(start: Any) -> None:
    running = start(template(), code__app=ECHO)
    assert message(running.http.get("/?size=6400000")) == FAILED
    assert running.http.get("/?size=6200000").status_code == 200
    assert "Function.ResponseSizeTooLarge" in running.logged("ResponseSizeTooLarge")


@pytest.mark.parametrize(("size", "status"), [(6_000_000, 200), (6_400_000, 413), (10_600_000, 413)])
@assumed("the limit is documented (gettingstarted-limits), the answer is not")
def test_a_request_above_six_megabytes_is_a_413(start: Any, size: int, status: int) -> None:
    running = start(template(), code__app=ECHO)
    assert running.http.post("/", content=b"x" * size, headers={"content-type": "text/plain"}).status_code == status
    assert running.http.get("/").status_code == 200


@documented("Lambda: lambda-concurrency")
def test_requests_at_once_get_environments_of_their_own_up_to_the_limit(start: Any, tmp_path: Path) -> None:
    extra = "Metadata: {EmulatorMaxEnvironments: 2}"
    running = start(template(extra=extra), code__app=ECHO)
    asked = [running.later("/?hold=1") for _ in range(6)]
    running.wait_for(busy=2, waiting=4)
    (tmp_path / "code" / "go").touch()
    answers = [answer.result().json() for answer in asked]
    assert len({answer["pid"] for answer in answers}) == 2
    assert len({answer["id"] for answer in answers}) == 6
    assert "Waited For Environment" in running.logged("Waited")


@own("a machine has few cores")
def test_environments_take_turns_at_starting(start: Any, tmp_path: Path) -> None:
    held = "\n".join(line for line in ECHO.splitlines() if "hold" in line or "GO =" in line or "import" in line)
    code = f"ask = {{'hold': 1}}\n{held.replace('    while', 'while')}\ndef handler(event, context): return os.getpid()"
    running = start(template(), {"max_environments": 6}, code__app=code)
    asked = [running.later("/") for _ in range(6)]
    running.wait_for(waiting=6, starting=max(2, os.cpu_count() or 1))
    (tmp_path / "code" / "go").touch()
    assert {answer.result().status_code for answer in asked} == {200}


@own("a machine has few cores")
def test_a_request_that_waits_too_long_is_a_503(start: Any, tmp_path: Path) -> None:
    extra = "Metadata: {EmulatorMaxEnvironments: 1}"
    running = start(template(extra=extra), {"wait_limit": 0.3}, code__app=ECHO)
    first = running.later("/?hold=1")
    running.wait_for(busy=1)
    assert message(running.http.get("/")) == UNAVAILABLE
    (tmp_path / "code" / "go").touch()
    assert first.result().status_code == 200


@assumed("the throttling is documented (lambda-concurrency), the 503 is not")
def test_beyond_the_reserved_concurrency_requests_are_throttled_at_once(start: Any, tmp_path: Path) -> None:
    running = start(template(properties="ReservedConcurrentExecutions: 1"), code__app=ECHO)
    first = running.later("/?hold=1")
    running.wait_for(busy=1)
    assert message(running.http.get("/")) == UNAVAILABLE
    (tmp_path / "code" / "go").touch()
    assert first.result().status_code == 200


@documented("API Gateway: http-api-quotas")
def test_a_route_over_its_time_is_a_503_while_the_function_runs_on(start: Any) -> None:
    text = template().replace("{Type: HttpApi}", "{Type: HttpApi, Properties: {TimeoutInMillis: 300}}")
    running = start(text, code__app=ECHO)
    # The first one is over its time in the cold start already: its invocation is not lost either.
    for number in range(2):
        assert message(running.http.get(f"/?sleep=1&print=ran-on-{number}")) == UNAVAILABLE
    running.logged("ran-on-0")
    running.logged("ran-on-1")


@assumed("documented without the minutes")
def test_idle_environments_are_shut_down(start: Any) -> None:
    running = start(template(), {"idle_limit": 0.3}, code__app=ECHO)
    pid = running.http.get("/").json()["pid"]
    running.eventually(lambda: running.status()["functions"]["Hello"]["pids"] == [])
    assert running.http.get("/").json()["pid"] != pid


@documented("Lambda: lambda-runtime-environment")
def test_frozen_environments_are_stopped_between_invocations(start: Any) -> None:
    running = start(template(), {"freeze": True}, code__app=ECHO)
    pid = running.http.get("/").json()["pid"]
    running.eventually(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    assert running.http.get("/").json()["count"] == 2


@documented("Lambda: python-logging")
def test_the_log_names_function_environment_and_request(start: Any) -> None:
    running = start(template(), code__app=ECHO)
    request_id = running.http.get("/?print=printed").json()["id"]
    running.logged("printed")
    lines = running.logged("REPORT").splitlines()
    assert all(line.startswith("Hello/") for line in lines)
    # What a function prints comes through a pipe of its own, so it may overtake or follow the platform's lines.
    own = [line for line in lines if "printed" not in line]
    assert [line.split()[2] for line in own] == ["START", "END", "REPORT"]
    assert all(request_id in line for line in own)
    assert all(text in own[-1] for text in ("Billed Duration:", "Max Memory Used:", "Init Duration:"))


@documented("Lambda: monitoring-cloudwatchlogs-advanced")
def test_json_logs_are_json_lines(start: Any) -> None:
    running = start(template(properties="LoggingConfig: {LogFormat: JSON}"), code__app=ECHO)
    running.http.get("/")
    log = running.logged("platform.report")
    records = [json.loads(line.split(" ", 2)[2]) for line in log.splitlines()]
    assert [record["type"] for record in records] == ["platform.start", "platform.report"]


@documented("Lambda: chapter-layers")
def test_later_layers_win_and_the_functions_own_code_wins_over_both(start: Any) -> None:
    layers = "".join(
        f"\n  {name}: {{Type: AWS::Serverless::LayerVersion, Properties: {{ContentUri: {name.lower()}}}}}"
        for name in ("First", "Second")
    )
    text = template(properties="Layers: [!Ref First, !Ref Second]") + layers.replace("\n  ", "\n  ") + "\n"
    code = "import one, two\ndef handler(event, context): return [one.A, two.A]"
    running = start(
        text, code__app=code, code__two="A = 'code'", first__python__one="A = 'first'",
        second__python__one="A = 'second'", second__python__two="A = 'second'",
    )  # fmt: skip
    assert running.http.get("/").json() == ["second", "code"]


@assumed("what a client sees of it")
def test_a_killed_environment_is_replaced(start: Any) -> None:
    running = start(template(), code__app=ECHO)
    # At once: it may be killed before, while or after it asks for its next event.
    for _ in range(10):
        os.kill(running.http.get("/").json()["pid"], signal.SIGKILL)
        assert running.http.get("/").json()["count"] == 1


@assumed("what a client sees of it")
def test_an_event_that_a_dying_environment_never_read_goes_to_another(start: Any) -> None:
    running = start(template(), code__app=ECHO)
    pid = running.http.get("/").json()["pid"]
    running.wait_for(idle=1)
    os.kill(pid, signal.SIGSTOP)
    running.eventually(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    answer = running.later("/")
    running.wait_for(busy=1)
    os.kill(pid, signal.SIGKILL)
    assert (answer.result().status_code, answer.result().json()["count"]) == (200, 1)
    running.logged("ended before it read")


@assumed("what a client sees of it")
def test_an_environment_that_hangs_up_while_it_is_idle_gets_nothing_more(start: Any) -> None:
    running = start(template(), code__app=ECHO)
    os.kill(running.http.get("/").json()["pid"], signal.SIGKILL)
    running.wait_for(idle=0, busy=0)
    assert running.http.get("/").json()["count"] == 1
