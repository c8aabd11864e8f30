"""Environments by fork: they answer as started ones do, and what must not be forked is started and says why."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sysconfig
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from local.emulator.environments.fork_parent import _held
from local.emulator.settings import Overrides
from tests.emulator.conftest import HELLO
from tests.emulator.fidelity import documented, own
from tests.emulator.launching import Launched, alive, wait_until

pytestmark = pytest.mark.slow

FORK = {"fork": True}
PACKAGES = {"packages": tuple({Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")})}
CODE = """
import ctypes, os, random, sys, time, uuid
INITIALISED_BY = os.getpid()
print("initialised by", INITIALISED_BY)
GO = os.path.join(os.path.dirname(__file__), "go")
def death_signal():
    number = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(number))
    return number.value
def handler(event, context):
    ask = event.get("queryStringParameters") or {}
    while "hold" in ask and not os.path.exists(GO): time.sleep(0.01)
    if "exit" in ask: os._exit(3)
    if "kill" in ask: os.kill(os.getpid(), 9)
    if "sleep" in ask: time.sleep(60)
    print("answered by", os.getpid())
    if "numpy" in ask: import numpy.random; return numpy.random.random()
    if "process" in ask:
        return {"variables": dict(os.environ), "path": sys.path, "arguments": sys.argv, "folder": os.getcwd(),
                "group": os.getpgid(0) == os.getpid(), "session": os.getsid(0) == os.getpid(),
                "death": death_signal(), "input": os.readlink("/proc/self/fd/0"), "mask": os.umask(0o022),
                "terminates": str(__import__("signal").getsignal(15)), "name": context.function_name,
                "arn": context.invoked_function_arn, "stream": context.log_stream_name == os.environ[STREAM]}
    return {"pid": os.getpid(), "initialised_by": INITIALISED_BY, "stream": os.environ[STREAM],
            "type": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], "random": random.random(), "uuid": str(uuid.uuid4())}
STREAM = "AWS_LAMBDA_LOG_STREAM_NAME"
"""
#: What may differ: addresses and names of one environment, and how it came to be.
_OF_ONE = ("AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_INITIALIZATION_TYPE", "_X_AMZN_TRACE_ID")


def two_at_once(running: Any, tmp_path: Path, ask: str = "") -> list[dict[str, Any]]:
    """Return the answers of two environments; the requests are held until both have one."""
    answers = [running.later(f"/?hold=1&{ask}") for _ in range(2)]
    running.wait_for(busy=2)
    (tmp_path / "code" / "go").touch()
    return [answer.result().json() for answer in answers]


@own("--fork")
def test_a_forked_environment_is_to_its_function_what_a_started_one_is(start: Any, tmp_path: Path) -> None:
    found = []
    for fork in (False, True):
        running = start(settings={"fork": fork, "state": tmp_path / str(fork)}, code__app=CODE)
        text = running.http.get("/?process=1").text
        found.append(json.loads(text.replace(running.queue_url, "URL").replace(str(tmp_path / str(fork)), "STATE")))
        kept = found[-1]["variables"]
        assert all(kept.pop(name, None) for name in _OF_ONE)
    started, forked = found
    assert forked == started
    assert (forked["group"], forked["session"], forked["death"]) == (True, True, signal.SIGKILL)


@own("--fork")
def test_forked_environments_share_an_initialisation_and_nothing_that_must_differ(start: Any, tmp_path: Path) -> None:
    running = start(settings=FORK, code__app=CODE)
    first, second = two_at_once(running, tmp_path)
    assert first["initialised_by"] == second["initialised_by"] not in {first["pid"], second["pid"]}
    assert {first["type"], second["type"]} == {"snap-start"}
    for name in ("pid", "stream", "random", "uuid"):
        assert first[name] != second[name]
    running.eventually(lambda: running.log().count("Restore Duration:") == 2)
    log = running.logged("answered by")
    for one in (first, second):
        prefix = f"Hello/{one['stream'].rpartition(']')[2]} "
        assert any(line.startswith(prefix) and line.endswith(f"answered by {one['pid']}") for line in log.splitlines())
    assert log.count("initialised by") == 1
    assert "Init Duration:" not in "".join(line for line in log.splitlines() if "REPORT RequestId" in line)


@documented("Lambda: telemetry-schema-reference")
def test_what_precedes_the_first_invocation_is_a_line_of_json_too(start: Any) -> None:
    template = HELLO.replace("Timeout: 60", "Timeout: 60\n      LoggingConfig: {LogFormat: JSON}")
    running = start(template, FORK, code__app="def handler(event, context): return 1")
    running.http.get("/")
    lines = [json.loads(line.split(" ", 2)[2]) for line in running.logged("platform.report").splitlines()]
    assert [line["type"] for line in lines] == ["platform.initReport", "platform.start", "platform.report"]
    assert "restoreDurationMs" in lines[-1]["record"]["metrics"]


@own("--fork")
def test_numpy_draws_other_numbers_in_each_forked_environment(start: Any, tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    one_thread = {"overrides": Overrides({"OPENBLAS_NUM_THREADS": "1"})}
    running = start(settings=FORK | PACKAGES | one_thread, code__app=f"import numpy\n{CODE}")
    first, second = two_at_once(running, tmp_path, "numpy=1")
    assert first != second
    assert "not forked" not in running.log()


@documented("Lambda: snapstart-runtime-hooks")
def test_hooks_run_before_the_snapshot_and_after_each_restore(start: Any) -> None:
    code = """
        from snapshot_restore_py import register_after_restore, register_before_snapshot
        RAN = []
        register_before_snapshot(RAN.append, "before")
        register_after_restore(RAN.append, "after")
        def handler(event, context):
            if event["rawPath"] == "/exit": exit(1)
            return RAN
        """
    running = start(settings=FORK, code__app=code)
    assert running.http.get("/").json() == ["before", "after"]
    assert running.http.get("/exit").status_code == 500
    assert running.http.get("/").json() == ["before", "after"]


@documented("Lambda: snapstart-runtime-hooks")
def test_a_hook_that_fails_after_a_restore_fails_the_request(start: Any) -> None:
    code = """
        from snapshot_restore_py import register_after_restore
        register_after_restore(lambda: 1 / 0)
        def handler(event, context): return "never"
        """
    running = start(settings=FORK, code__app=code)
    assert running.http.get("/").status_code == 500
    assert "Status: error\tError Type: Runtime.AfterRestoreError" in running.logged("RESTORE_REPORT")


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        ("exit", "Runtime exited with error: exit status 3"),
        ("kill", "Runtime exited with error: signal: SIGKILL"),
        ("sleep", "Task timed out after 2.00 seconds"),
    ],
)
@own("--fork")
def test_the_end_of_a_forked_environment_is_reported_and_harms_no_other(start: Any, ask: str, told: str) -> None:
    running = start(HELLO.replace("60", "2") if ask == "sleep" else HELLO, FORK, code__app=CODE)
    held = running.later(f"/?{ask}=1&hold=1") if ask != "sleep" else running.later("/?sleep=1")
    running.wait_for(busy=1)
    other = running.http.get("/").json()
    (running.state.parent / "code" / "go").touch()
    assert held.result().status_code == 500
    running.logged(told)
    running.wait_for(busy=0)
    again = running.http.get("/").json()
    assert (again["pid"], again["initialised_by"]) == (other["pid"], other["initialised_by"])


@own("--fork")
def test_an_environment_that_is_killed_while_idle_is_forked_again(start: Any) -> None:
    running = start(settings=FORK, code__app=CODE)
    before = running.http.get("/").json()
    for _ in range(3):
        os.kill(running.http.get("/").json()["pid"], signal.SIGKILL)
        after = running.http.get("/").json()
        assert after["initialised_by"] == before["initialised_by"]


@documented("Lambda: lambda-runtime-environment")
def test_a_forked_environment_can_be_frozen(start: Any) -> None:
    running = start(settings=FORK | {"freeze": True}, code__app=CODE)
    first = running.http.get("/").json()
    wait_until(lambda: psutil.Process(first["pid"]).status() == psutil.STATUS_STOPPED)
    assert psutil.Process(first["initialised_by"]).status() != psutil.STATUS_STOPPED
    assert running.http.get("/").json()["pid"] == first["pid"]


@own("--fork")
def test_environments_end_with_what_they_were_forked_from_and_the_next_one_is_initialised(start: Any) -> None:
    running = start(settings=FORK, code__app=CODE)
    before = running.http.get("/").json()
    os.kill(before["initialised_by"], signal.SIGKILL)
    wait_until(lambda: not alive(before["pid"]))
    running.wait_for(idle=0)
    after = running.http.get("/").json()
    assert after["initialised_by"] != before["initialised_by"]


@own("--fork")
def test_idle_environments_and_what_they_were_forked_from_are_shut_down(start: Any) -> None:
    running = start(settings=FORK | {"idle_limit": 0.2}, code__app=CODE)
    before = running.http.get("/").json()
    wait_until(lambda: not alive(before["initialised_by"]) and not alive(before["pid"]))
    assert running.http.get("/").json()["initialised_by"] != before["initialised_by"]


@own("--fork")
def test_changed_code_is_initialised_anew_after_busy_environments_have_answered(start: Any, tmp_path: Path) -> None:
    running = start(settings=FORK | {"reload": True}, code__app=CODE)
    busy = running.later("/?hold=1")
    running.wait_for(busy=1)
    (tmp_path / "code" / "app.py").write_text("def handler(event, context): return 'changed'\n")
    running.logged("RELOAD Hello")
    assert running.http.get("/").text == "changed"
    (tmp_path / "code" / "go").touch()
    before = busy.result().json()
    wait_until(lambda: not alive(before["initialised_by"]))


REFUSED = {
    "it has 2 threads (beside)": "import threading\n"
    "threading.Thread(target=threading.Event().wait, name='beside', daemon=True).start()",
    "it holds an open socket": "import socket\nKEPT = socket.socket()",
    "it holds an open epoll, as event loops have": "import select\nKEPT = select.epoll()",
    f"it holds the open file {__file__}": f"KEPT = open({__file__!r})",
    "it holds an open pipe": "import os\nKEPT = os.pipe()",
    "it holds a connection of sqlite3": "import gc, sqlite3\nKEPT = sqlite3.connect(':memory:')\ngc.freeze()",
    "it holds a channel of gRPC": "import grpc\nKEPT = grpc.insecure_channel('127.0.0.1:1')",
    "it has started a process": "import subprocess\nKEPT = subprocess.Popen(['sleep', '60'], stdin=subprocess.DEVNULL)",
    "its initialisation failed: KeyError: 'AWS_LAMBDA_RUNTIME_API'": "import os\nos.environ['AWS_LAMBDA_RUNTIME_API']",
    "its initialisation failed: Runtime.BeforeSnapshotError: no snapshot": "from snapshot_restore_py import "
    "register_before_snapshot\n@register_before_snapshot\ndef refuse(): raise ValueError('no snapshot')",
}


@pytest.mark.parametrize(("why", "code"), REFUSED.items())
@own("--fork")
def test_what_must_not_be_forked_is_started_and_one_line_says_why(
    start: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], why: str, code: str
) -> None:
    if "grpc" in code:
        pytest.importorskip("grpc")
    running = start(settings=FORK | PACKAGES, code__app=f"{code}\n{CODE}")
    for one in two_at_once(running, tmp_path):
        assert (one["initialised_by"], one["type"]) == (one["pid"], "on-demand")
    line = f"Hello is not forked, so each environment initialises by itself: {why}"
    log = running.logged("not forked").splitlines()
    assert [found.partition("Z ")[2] for found in log if "not forked" in found] == [line]
    assert line in capfd.readouterr().err.splitlines()


@own("--fork")
def test_the_file_of_another_librarys_connection_is_found_by_its_descriptor(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "file") as made:
        made.execute("CREATE TABLE t (c)")
    made.close()
    with (tmp_path / "file").open("rb") as opened, (tmp_path / "text").open("w") as text, open(os.devnull) as null:
        assert _held(opened.fileno()) == f"the SQLite database {tmp_path / 'file'}"
        assert _held(text.fileno()) == f"the open file {tmp_path / 'text'}"
        assert _held(null.fileno()) == ""


@documented("Lambda: lambda-runtime-environment")
def test_an_initialisation_for_forks_may_take_longer_than_any_other_and_then_is_given_up(start: Any) -> None:
    code = "import os, time\nif 'snap' in os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']: time.sleep(%s)\n"
    limits = {"init_limit": 0.1, "snapshot_limit": 2.0}
    running = start(HELLO.replace("60", "2"), FORK | limits, code__app=code % 60 + CODE)
    answer = running.eventually(lambda: (found := running.http.get("/")).status_code == 200 and found).json()
    assert answer["initialised_by"] == answer["pid"]
    running.logged("its initialisation takes more than 2 seconds")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@own("--fork")
def test_no_process_outlives_the_emulator(project: Any, tmp_path: Path, number: int) -> None:
    launched = Launched(project(code__app=CODE), "--fork", "--state", str(tmp_path / "state"))
    gateway = launched.ready()["gateway"]
    with httpx.Client(base_url=gateway, timeout=60) as http:
        answer = http.get("/").json()
    assert {answer["pid"], answer["initialised_by"]} <= set(launched.children())
    assert psutil.Process(answer["pid"]).ppid() == answer["initialised_by"]
    launched.process.send_signal(number)
    launched.process.communicate(timeout=60)
    wait_until(lambda: not alive(answer["pid"]) and not alive(answer["initialised_by"]))


@own("--fork")
def test_an_emulator_that_stops_does_not_wait_for_an_initialisation(start: Any) -> None:
    running = start(settings=FORK, code__app="import time; time.sleep(60)\ndef handler(event, context): return 1")
    answer = running.later("/")
    running.wait_for(starting=1)
    running.stop()
    assert answer.result().status_code in {500, 503}
