"""The parts of the service under `sam local`, which `local.up` starts, watches and stops."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from local.emulator.template.document import read_document
from local.sam.serve import MARK
from local.up.keys import write_private
from local.up.parts import Part, environment_of_functions, index_part, ledger_command, ledger_part
from local.up.settings import ROOT, Settings

__all__ = ["Ports", "SamSettings", "parts_of"]

SAM = ROOT / ".venv-sam" / "bin" / "sam"
BUILT = ROOT / ".aws-sam" / "build"
#: moto and our queue accept any credentials.
_AWS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_DEFAULT_REGION": "us-east-1"}
_COLD_START_S = 600.0
#: Where `sam local` listens; the other parts are on the bridge.
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that `make up` does not have."""

    milvus: int = 19530
    dynamodb: int = 8000
    functions: int = 3001


@dataclass(frozen=True, slots=True)
class SamSettings:
    """The settings of `up`, with the bridge's address as host, and the further ones of `sam local`."""

    up: Settings
    ports: Ports
    #: The URL of DynamoDB. Empty means that moto is started here, which loses everything when it stops.
    dynamodb_url: str = ""

    @property
    def ledger_url(self) -> str:
        """Return the URL of the ledger for functions and tools."""
        return self.dynamodb_url or f"http://{self.up.host}:{self.ports.dynamodb}"


def parts_of(settings: SamSettings, environment: Mapping[str, str], key_file: Path) -> list[Part]:
    """Return all parts in an order in which each comes after those that it needs."""
    variables = _variables(settings, environment)
    plain = {name: value for name, value in environment.items() if not name.startswith("FORGETLESS_")}
    plain |= {"PYTHONUNBUFFERED": "1", "SAM_CLI_TELEMETRY": "0", "SAM_CLI_ENABLE_LANGUAGE_EXTENSIONS": "1", **_AWS}
    tools = {**plain, **variables}
    keys = ("keys", "add", "--tenant", "default", "--admin", "--key-file", str(key_file))
    moto = [] if settings.dynamodb_url else [_dynamodb(settings, plain)]
    table_after = () if settings.dynamodb_url else ("dynamodb",)
    sam = partial(_sam, settings=settings, environment=plain, variables=variables)
    return [
        *moto,
        Part("table", ledger_command("migrate", "--create"), tools, after=table_after, once=True),
        _milvus(settings, plain),
        # moto loses everything when it stops and Milvus does not, so the ledger is empty at every start.
        ledger_part(settings.up, tools, accept_empty=not settings.dynamodb_url, after="table"),
        Part("key", ledger_command(*keys), tools, after=("ledger",), once=True),
        _model(settings.up, plain),
        _embedder(settings.up, plain),
        index_part(settings.up, tools),
        sam("functions", "start-lambda", settings.ports.functions),
        _queue(settings, plain),
        sam("gateway", "start-api", settings.up.port),
    ]


def _variables(settings: SamSettings, environment: Mapping[str, str]) -> dict[str, str]:
    up = settings.up
    queue = f"http://{up.host}:{up.queue_port}"
    given = environment_of_functions(up, environment)
    health = {"embedder": f"http://{up.host}:{up.embedder_port}/ready", "queue": f"{queue}/_emulator/status"}
    return given | {
        "FORGETLESS_LEDGER": "dynamodb",
        "FORGETLESS_LEDGER_PATH": "",
        "FORGETLESS_LEDGER_TABLE": "Ledger",
        "FORGETLESS_ERASURES_TABLE": "Erasures",
        "FORGETLESS_MILVUS_URI": f"http://{up.host}:{settings.ports.milvus}",
        "FORGETLESS_QUEUE_URL": f"{queue}/123456789012/IngestQueue.fifo",
        "FORGETLESS_BULK_QUEUE_URL": f"{queue}/123456789012/BulkQueue",
        "FORGETLESS_HEALTH_URLS": json.dumps(health),
        "AWS_ENDPOINT_URL_SQS": queue,
        "AWS_ENDPOINT_URL_DYNAMODB": settings.ledger_url,
    }


def _dynamodb(settings: SamSettings, environment: Mapping[str, str]) -> Part:
    where = ("--host", settings.up.host, "--port", str(settings.ports.dynamodb))
    ready = f"{settings.ledger_url}/moto-api/data.json"
    ports = {"dynamodb-port": settings.ports.dynamodb}
    return Part("dynamodb", _python("local.emulator.moto.server", *where), environment, ready_url=ready, ports=ports)


def _milvus(settings: SamSettings, environment: Mapping[str, str]) -> Part:
    where = ("--address", f"{settings.up.host}:{settings.ports.milvus}")
    command = _python("local.milvus", "--data", str(settings.up.state / "milvus"), *where)
    return Part("milvus", command, environment, ready_line=True, ports={"milvus-port": settings.ports.milvus})


def _model(up: Settings, environment: Mapping[str, str]) -> Part:
    command = _python("embedder", "prepare", "--model", up.model, "--out", str(up.model_folder))
    return Part("model", command, environment, once=True, start_seconds=900.0)


def _embedder(up: Settings, environment: Mapping[str, str]) -> Part:
    where = ("--host", up.host, "--port", str(up.embedder_port))
    command = _python("embedder", "serve", "--model-dir", str(up.model_folder), *where)
    ready = f"http://{up.host}:{up.embedder_port}/ready"
    ports = {"embedder-port": up.embedder_port}
    return Part("embedder", command, environment, after=("model",), ready_url=ready, ports=ports)


def _queue(settings: SamSettings, environment: Mapping[str, str]) -> Part:
    """Return the part with SQS, its poller and the schedule; they invoke functions at `sam local start-lambda`."""
    up = settings.up
    command = _python(
        "local.emulator",
        *("--template", str(ROOT / "template.yaml"), "--state", str(up.state / "emulator"), "--host", up.host),
        *("--port", "0", "--queue-port", str(up.queue_port)),
        *("--functions-at", f"http://127.0.0.1:{settings.ports.functions}"),
    )
    ports = {"queue-port": up.queue_port}
    return Part("queue", command, environment, after=("functions",), ready_line=True, ports=ports)


def _sam(
    name: str,
    verb: str,
    port: int,
    *,
    settings: SamSettings,
    environment: Mapping[str, str],
    variables: Mapping[str, str],
) -> Part:
    """Return a part that runs one `sam local` with its own warm containers, template and file of variables."""
    template = BUILT / f"forgetless-{name}-{port}.yaml"
    more = {key: value for key, value in variables.items() if key.startswith("AWS_")} | {MARK: str(port)}
    _write_template(BUILT / "template.yaml", template, more)
    handed = settings.up.state / f"{name}.env.json"
    write_private(handed, json.dumps({"Parameters": {**variables, MARK: str(port)}}) + "\n")
    command = (
        *(str(SAM), "local", verb, "--template", str(template), "--host", _LOOPBACK, "--port", str(port)),
        *("--skip-pull-image", "--warm-containers", "LAZY", "--no-watch", "--env-vars", str(handed)),
        *("--region", _AWS["AWS_DEFAULT_REGION"]),
    )
    return Part(
        name,
        _python("local.sam.serve", str(port), *command),
        environment,
        after=("key", "index", "milvus", "embedder", *(("queue",) if verb == "start-api" else ())),
        ready_line=True,
        ready_url=f"http://127.0.0.1:{port}/health" if verb == "start-api" else None,
        start_seconds=_COLD_START_S,
        stop_seconds=40.0,
        ports={"port" if verb == "start-api" else "functions-port": port},
        host=_LOOPBACK,
    )


def _write_template(built: Path, made: Path, variables: Mapping[str, str]) -> None:
    """Write the built template beside itself, with more variables for all functions, as JSON (which is YAML).

    `sam local` drops variables that the template does not declare.
    """
    content = dict(read_document(built).content)
    functions = content.setdefault("Globals", {}).setdefault("Function", {})
    functions.setdefault("Environment", {}).setdefault("Variables", {}).update(variables)
    made.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)
