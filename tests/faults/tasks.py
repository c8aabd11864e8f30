"""The tasks of a kill test's processes: accept an add, run the ingest function, run the sweep function."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from forgetless.domain.errors import ForgetlessError
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger
from forgetless.service.requests import AddRequest, IncomingMessage
from forgetless.service.services import Services
from tests.fakes.lambda_context import FakeContext
from tests.faults.fault_injection import Fault, Step, Watch
from tests.faults.shared_stores import Place, compose

__all__ = ["SCOPE", "handler_of", "perform", "perform_in_process"]

SCOPE = Scope("default", user_id="alice")
FUNCTIONS = Path(__file__).parents[2] / "functions"

#: Tasks in which every single write of the ledger is a step, and the function that does them.
STEPWISE = {"ingest-many": "ingest"}
#: Other tasks of that function.
_FUNCTIONS = {**STEPWISE, "ingest-long": "ingest"}

#: The options of each kind of add.
_OPTIONS: dict[str, dict[str, Any]] = {
    "queued": {"infer": True, "queued": True},
    "inline": {"infer": True},
    "verbatim": {"infer": False},
}


def perform(task: str, argument: Any, place: Place, fault: Fault | None, line: Connection) -> None:
    """Run a task in a process, then send ("done", result) or, if it was refused, the error's code."""
    watch = Watch(fault, line, writes=task in STEPWISE)
    try:
        result = _do(_FUNCTIONS.get(task, task), argument, compose(place, watch))
    except ForgetlessError as error:
        line.send((error.code, None))
        return
    watch.after("handler")
    line.send(("done", result))


def perform_in_process(task: str, argument: Any, place: Place, ledger: Ledger | None = None) -> tuple[Any, list[Step]]:
    """Run a task in this process, over a ledger that is already open if one is given."""
    watch = Watch(writes=task in STEPWISE)
    services = compose(place, watch, ledger=None if watch.writes else ledger)
    return _do(_FUNCTIONS.get(task, task), argument, services), watch.seen


def _do(task: str, argument: Any, services: Services) -> Any:
    if task in _OPTIONS:
        text, key, *user = argument
        message = IncomingMessage("user", text)
        scope = replace(SCOPE, user_id=user[0]) if user else SCOPE
        outcome = services.add.add(AddRequest(scope, (message,), idempotency_key=key, **_OPTIONS[task]))
        return outcome.job.id
    return handler_of(task, services)(argument, FakeContext())


def handler_of(name: str, services: Services) -> Any:
    """Return the handler of functions/NAME/app.py over these services."""
    spec = importlib.util.spec_from_file_location(f"{name}_app", FUNCTIONS / name / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.services = lambda: services
    return module.handler
