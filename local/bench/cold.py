"""Cold starts: CPU time of each function from its built artefacts, in fresh processes of Lambda's interpreter."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from local.artifacts.build import Build, read_build
from local.client import ToolError, run
from local.emulator.specs import TemplateError
from local.lambda_python import VERSION, find_python
from local.results.report import Table
from local.results.result import Result, show
from local.up.settings import ROOT

__all__ = ["ColdStart", "cold_starts", "main"]

#: Packages that Lambda's runtime has and the layers therefore leave out; all are pure Python.
_OF_THE_RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py")

#: CPU seconds since the process began: at the end of init, with services composed, after the ledger's first answer
#: (an error counts: nothing listens where the bench sends it), and with Milvus' client imported.
_SCRIPT = """
import importlib, json, time
marks = []
def mark():
    marks.append(time.process_time())
importlib.import_module("app")
mark()
from forgetless.runtime.composition import services
made = services()
mark()
try:
    made.reads.get("nobody", "nothing")
except Exception as error:
    if "LedgerError" not in type(error).__name__:
        raise
mark()
import pymilvus
mark()
print(json.dumps(marks))
"""


@dataclass(frozen=True, slots=True)
class ColdStart:
    """CPU seconds since the start of the process, the lowest of several runs; each includes the ones before it."""

    function: str
    ledger: str
    init_s: float
    composed_s: float
    first_read_s: float
    milvus_s: float


def cold_starts(
    build: Build, python: str | None, ledgers: Sequence[str], runs: int, functions: Sequence[str] = ()
) -> list[ColdStart]:
    """Measure these functions, or all, with every ledger. Without `python`, this interpreter and its packages are used.

    Raises ToolError when a function does not start.
    """
    with tempfile.TemporaryDirectory() as folder:
        runtime = _runtime_packages(Path(folder) / "runtime", python) if python else _own_packages()
        return [
            _measure(build, name, ledger, (python or sys.executable, runtime, Path(folder)), runs)
            for ledger in ledgers
            for name in functions or build.functions
        ]


def _runtime_packages(target: Path, python: str) -> Path:
    """Install the runtime's packages as this project pins them, with bytecode for `python`."""
    import boto3  # noqa: PLC0415 - only to see where it lies

    target.mkdir()
    site = Path(boto3.__file__).parents[1]
    for name in _OF_THE_RUNTIME:
        if (site / name).is_dir():
            shutil.copytree(site / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(site / name, target / name)
    subprocess.run((python, "-m", "compileall", "-q", str(target)), check=True)
    return target


def _own_packages() -> Path:
    import boto3  # noqa: PLC0415 - as above

    return Path(boto3.__file__).parents[1]


def _measure(build: Build, name: str, ledger: str, at: tuple[str, Path, Path], runs: int) -> ColdStart:
    python, runtime, folder = at
    variables = _variables(ledger, folder)
    if python != sys.executable:
        # As on Lambda, where /opt is read-only: modules without bytecode in the layer are compiled each time.
        variables["PYTHONDONTWRITEBYTECODE"] = "1"
    path = [*build.python_path(name), runtime]
    environment = variables | {"PYTHONPATH": os.pathsep.join(str(one.absolute()) for one in path)}
    marks = [_run(python, name, environment) for _ in range(1 + runs)][1:]
    return ColdStart(name, ledger, *(min(column) for column in zip(*marks, strict=True)))


def _run(python: str, name: str, environment: Mapping[str, str]) -> list[float]:
    done = subprocess.run(
        (python, "-c", _SCRIPT), env=dict(environment), capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode != 0:
        raise ToolError(f"{name} does not start: {done.stderr.strip()[-400:]}")
    return [float(mark) for mark in json.loads(done.stdout.splitlines()[-1])]


def _variables(ledger: str, folder: Path) -> dict[str, str]:
    nobody = "http://127.0.0.1:9"
    return {
        "PATH": os.environ["PATH"],
        "FORGETLESS_LEDGER": ledger,
        "FORGETLESS_LEDGER_PATH": str(folder / "ledger.db"),
        "FORGETLESS_LEDGER_TABLE": "ledger",
        "FORGETLESS_ERASURES_TABLE": "erasures",
        "FORGETLESS_QUEUE_URL": f"{nobody}/1/queue.fifo",
        "FORGETLESS_BULK_QUEUE_URL": f"{nobody}/1/bulk",
        "FORGETLESS_MILVUS_URI": nobody,
        "FORGETLESS_EMBEDDER_URL": nobody,
        "AWS_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": nobody,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_MAX_ATTEMPTS": "1",
    }


def _table(figures: Sequence[ColdStart]) -> Table:
    headings = ("function", "ledger", "init", "composed", "first read", "with pymilvus")
    rows = []
    for one in figures:
        seconds = (one.init_s, one.composed_s, one.first_read_s, one.milvus_s)
        rows.append((one.function, one.ledger, *(f"{value:.2f}" for value in seconds)))
    return Table(headings, tuple(rows), title="Cold start, CPU seconds of the process so far", left=(0, 1))


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Measure, show, save; raises ToolError."""
    parser = argparse.ArgumentParser(prog="make bench-cold ARGS=", description=__doc__)
    parser.add_argument("--build", type=Path, default=Path(".aws-sam/build"), help="sam's build folder")
    parser.add_argument("--ledgers", nargs="+", default=["sqlite"], help="sqlite, dynamodb (default sqlite)")
    parser.add_argument("--functions", nargs="+", default=(), help="SearchFunction, ... (default: all of the template)")
    parser.add_argument("--runs", type=int, default=7, help="runs of each; the lowest counts (default 7)")
    parser.add_argument("--out", type=Path, default=Path("bench-results"), help="where the JSON file goes")
    options = parser.parse_args(arguments)
    python = find_python(environment)
    try:
        build = read_build(options.build if python else ROOT)
    except TemplateError as error:
        raise ToolError(f"make build comes first: {error}") from error
    if unknown := set(options.functions) - set(build.functions):
        raise ToolError(f"--functions: {', '.join(sorted(unknown))} is none of {', '.join(build.functions)}")
    figures = cold_starts(build, python, options.ledgers, options.runs, options.functions)
    compiled = {name: layer.bytecode() for name, layer in build.layers.items()} if python else {}
    console = Console()
    what = f"what make build made, modules with bytecode: {compiled}" if python else f"no python{VERSION}: the sources"
    console.print(f"{python or sys.executable} on {platform.machine()}, {what}")
    show(console, _table(figures))
    found = {"python": python or sys.executable, "compiled": compiled, "cold": figures}
    console.print(f"saved: {Result('cold starts', found).save(options.out)}")
    return 0


if __name__ == "__main__":
    run(main)
