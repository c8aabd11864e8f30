"""The parts of the service on one machine: their commands, their order, and how each says that it is ready."""

from __future__ import annotations

import json
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from local.up.errors import UpError
from local.up.keys import EMBEDDER_KEY, FUNCTIONS_FILE, GIVEN_KEY, QUEUE_TOKEN, part_key, write_private
from local.up.models import SIZES, prepare_command
from local.up.settings import ROOT, Settings, control_path, socket_path

__all__ = [
    "Part",
    "environment_of_functions",
    "index_command",
    "index_part",
    "ledger_command",
    "ledger_part",
    "parts_of",
]

#: Variables of the caller that functions get besides FORGETLESS_...: they configure the LLM.
_LLM = ("OPENAI_BASE_URL", "OPENAI_API_KEY")
#: The parts of the model that runs beside the one that is asked for.
BESIDE_MODEL, BESIDE_EMBEDDER = "beside-model", "beside-embedder"
#: What only the part itself and its clients get.
_PART_KEYS = (EMBEDDER_KEY, QUEUE_TOKEN)
_DYNAMODB = "AWS_ENDPOINT_URL_DYNAMODB"
#: Settings of `up` itself, which functions do not get; the key is also a secret.
_OURS = frozenset(
    {
        GIVEN_KEY,
        "FORGETLESS_PORT",
        "FORGETLESS_EMBEDDER_PORT",
        "FORGETLESS_BESIDE_EMBEDDER_PORT",
        "FORGETLESS_QUEUE_PORT",
        "FORGETLESS_METRICS_PORT",
        "FORGETLESS_STATE",
        "FORGETLESS_ENVIRONMENTS",
        "FORGETLESS_FORK",
        "FORGETLESS_ALLOWED_HOSTS",
    }
)


@dataclass(frozen=True, slots=True)
class Part:
    """One line of `make up`: a process that keeps running (``once=False``), or a step that ends with 0."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    #: Names of the parts that must be ready before this one starts.
    after: tuple[str, ...] = ()
    once: bool = False
    #: (step, word): run only when that step's last line was this word; otherwise count as ready at once.
    only_if: tuple[str, str] | None = None
    #: Ready when a JSON line with "ready": true was printed …
    ready_line: bool = False
    #: … and this URL answers 200.
    ready_url: str | None = None
    #: Seconds until the part counts as hanging, at its start and after the signal to stop.
    start_seconds: float = 120.0
    stop_seconds: float = 10.0
    #: The ports that it listens on, by the option that moves each.
    ports: Mapping[str, int] = field(default_factory=dict)
    #: The host on which it listens; empty means the host of all parts.
    host: str = ""
    #: It only tells: its lines are shown as they come, nothing waits for it, and it is not started again.
    tells: bool = False
    #: What to do if it fails, as the end of the message.
    remedy: str = ""


def parts_of(settings: Settings, environment: Mapping[str, str], key_file: Path) -> list[Part]:
    """Return all parts in an order in which each comes after those that it needs."""
    for_functions = environment_of_functions(settings, environment)
    plain = {name: value for name, value in environment.items() if name not in {*_LLM, GIVEN_KEY, *_PART_KEYS}}
    plain["PYTHONUNBUFFERED"] = "1"
    with_ledger = {**plain, **for_functions}
    keys = ("keys", "add", "--tenant", "default", "--admin", "--key-file", str(key_file))
    return [
        *_models(settings, plain),
        _milvus(settings, plain),
        ledger_part(settings, with_ledger, accept_empty=settings.empty_ledger),
        Part("key", ledger_command(*keys), with_ledger, after=("ledger",), once=True),
        *_embedders(settings, plain, part_key(settings.state, environment, EMBEDDER_KEY)),
        index_part(settings, with_ledger),
        _gateway(settings, plain | {QUEUE_TOKEN: part_key(settings.state, environment, QUEUE_TOKEN)}, for_functions),
        _filling_part(with_ledger),
    ]


def ledger_part(settings: Settings, environment: Mapping[str, str], *, accept_empty: bool, after: str = "") -> Part:
    """Return the check of ledger and index. It runs before a key is registered, as that would fill a lost ledger."""
    accepted = ("--accept-empty-ledger",) if accept_empty else ()
    command = index_command("check", settings, "--start", *accepted)
    needed = ("milvus", after) if after else ("milvus",)
    return Part("ledger", command, environment, after=needed, once=True, start_seconds=300.0)


def index_part(settings: Settings, environment: Mapping[str, str]) -> Part:
    """Return the rebuild of the index, which runs when the check asks for it."""
    return Part(
        "index",
        index_command("reindex", settings),
        environment,
        after=("ledger", "milvus", "embedder"),
        once=True,
        only_if=("ledger", "reindex"),
        start_seconds=3600.0,
    )


def _filling_part(environment: Mapping[str, str]) -> Part:
    """Return what tells how far the service has filled another index, if the check says that it fills one."""
    command = ledger_command("generations", "--watch")
    environment = {**environment, "GRPC_VERBOSITY": "NONE"}  # every line is shown, and gRPC's are for developers
    return Part("filling", command, environment, after=("gateway",), only_if=("ledger", "fill"), tells=True)


def index_command(verb: str, settings: Settings, *options: str) -> tuple[str, ...]:
    """Return the command for check or reindex; the index's origin is noted beside Milvus' data."""
    return ledger_command(verb, "--marker", str(settings.state / "milvus" / "collection"), *options)


def ledger_command(*arguments: str) -> tuple[str, ...]:
    """Return the package's command line, run by this Python."""
    return _python("forgetless.cli", *arguments)


def environment_of_functions(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of functions and command line: the caller's, overridden by the addresses of the parts."""
    given = {
        name: value
        for name, value in environment.items()
        if name in _LLM or (name.startswith("FORGETLESS_") and name not in _OURS)
    }
    embedder = f"http://{settings.host}:{settings.embedder_port}"
    health = {
        "embedder": f"{embedder}/ready",
        "queue": f"http://{settings.host}:{settings.queue_port}/_emulator/status",
    }
    if settings.beside is not None and not settings.runs_beside:
        del health["embedder"]  # what serves has none, and says so
    # Where nobody can read them, functions record no metrics.
    unread = {} if settings.metrics_port else {"FORGETLESS_METRICS": "off"}
    return {
        **unread,
        # The template's number is for Lambda. Here is mostly one tenant, whose adds may wait as before.
        "FORGETLESS_LLM_WAITS_PER_TENANT": "",
        **given,
        **_ledger(settings, environment),
        "FORGETLESS_MILVUS_URI": f"unix:{socket_path(settings)}",
        "FORGETLESS_MILVUS_CONTROL": f"unix:{control_path(settings)}",
        "FORGETLESS_EMBEDDER_API_KEY": part_key(settings.state, environment, EMBEDDER_KEY),
        **_models_of_functions(settings, embedder),
        "FORGETLESS_HEALTH_URLS": json.dumps(health),
    }


def _models_of_functions(settings: Settings, embedder: str) -> dict[str, str]:
    """Return where the models are. The one that is asked for is the next one while another one must run beside it."""
    if settings.beside is None:
        return {
            "FORGETLESS_EMBEDDER_URL": embedder,
            "FORGETLESS_EMBEDDING_MODEL": settings.model,
            "FORGETLESS_EMBEDDING_DIMENSIONS": str(settings.dimensions),
        }
    return {
        "FORGETLESS_EMBEDDER_URL": f"http://{settings.host}:{settings.beside_port}"
        if settings.runs_beside
        else "none:",
        "FORGETLESS_EMBEDDING_MODEL": settings.beside,
        "FORGETLESS_EMBEDDING_DIMENSIONS": str(SIZES[settings.beside]),
        "FORGETLESS_NEXT_EMBEDDER_URL": embedder,
        "FORGETLESS_NEXT_EMBEDDING_MODEL": settings.model,
        "FORGETLESS_NEXT_EMBEDDING_DIMENSIONS": str(settings.dimensions),
    }


def _ledger(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings for SQLite's file, or for the caller's DynamoDB when FORGETLESS_LEDGER asks for it."""
    endpoint = environment.get(_DYNAMODB, "")
    if environment.get("FORGETLESS_LEDGER") != "dynamodb":
        return {"FORGETLESS_LEDGER": "sqlite", "FORGETLESS_LEDGER_PATH": str(settings.ledger)}
    if not endpoint:
        raise UpError(f"FORGETLESS_LEDGER=dynamodb needs {_DYNAMODB}: the functions here hold no AWS credentials")
    return {"FORGETLESS_LEDGER": "dynamodb", _DYNAMODB: endpoint}


def _models(settings: Settings, environment: Mapping[str, str]) -> list[Part]:
    names = {"model": settings.model}
    if settings.beside is not None and settings.runs_beside:
        names[BESIDE_MODEL] = settings.beside
    return [
        Part(
            name,
            *prepare_command(model, settings.folder_of(model), environment),
            once=True,
            start_seconds=900.0,
            remedy=_remedy(settings) if name == BESIDE_MODEL else "",
        )
        for name, model in names.items()
    ]


def _milvus(settings: Settings, environment: Mapping[str, str]) -> Part:
    data = str(settings.state / "milvus")
    sockets = ("--socket", str(socket_path(settings)), "--control", str(control_path(settings)))
    command = _python("local.milvus", "--data", data, *sockets)
    return Part("milvus", command, environment, ready_line=True)


def _embedders(settings: Settings, environment: Mapping[str, str], key: str) -> list[Part]:
    own = _embedder(settings, {**environment, EMBEDDER_KEY: key}, "embedder", settings.model, settings.embedder_port)
    if settings.beside is None or not settings.runs_beside:
        return [own]
    other = _embedder(settings, own.environment, BESIDE_EMBEDDER, settings.beside, settings.beside_port)
    return [own, replace(other, after=(BESIDE_MODEL,), remedy=_remedy(settings))]


def _remedy(settings: Settings) -> str:
    return (
        f"; the index needs the model {settings.beside}: start with EMBEDDING_MODEL={settings.beside}, or let searches "
        "go by words alone until the new index is filled: make up ARGS=--accept-degraded"
    )


def _embedder(settings: Settings, environment: Mapping[str, str], name: str, model: str, port: int) -> Part:
    where = ("--host", settings.host, "--port", str(port))
    return Part(
        name,
        _python("embedder", "serve", "--model-dir", str(settings.folder_of(model)), *where),
        environment,
        after=("model",),
        ready_url=f"http://{settings.host}:{port}/ready",
        ports={f"{name}-port": port},
    )


def _gateway(settings: Settings, environment: Mapping[str, str], for_functions: Mapping[str, str]) -> Part:
    handed = settings.state / FUNCTIONS_FILE
    write_private(handed, json.dumps({"Parameters": for_functions}, indent=1) + "\n")
    command = _python(
        "local.emulator",
        *("--template", str(ROOT / "template.yaml"), "--state", str(settings.state / "emulator")),
        *("--host", settings.host, "--port", str(settings.port), "--queue-port", str(settings.queue_port)),
        *("--env-vars", str(handed)),
        # Stands in for the layer of dependencies, which only `sam build` makes.
        *(argument for folder in _site_packages() for argument in ("--packages", folder)),
        *(("--metrics-port", str(settings.metrics_port)) if settings.metrics_port else ()),
        *(argument for name in settings.allowed_hosts for argument in ("--allow-host", name)),
        *(("--mapping", base) if (base := for_functions.get("FORGETLESS_BASE_PATH")) else ()),
        *(("--max-environments", str(settings.environments)) if settings.environments else ()),
        *(("--fork",) if settings.fork else ()),
    )
    return Part(
        "gateway",
        command,
        environment,
        after=("key", "index", "embedder", "milvus", *((BESIDE_EMBEDDER,) if settings.runs_beside else ())),
        ready_line=True,
        ready_url=f"{settings.url}/health",
        stop_seconds=15.0,
        ports={
            "port": settings.port,
            "queue-port": settings.queue_port,
            **({"metrics-port": settings.metrics_port} if settings.metrics_port else {}),
        },
    )


def _site_packages() -> list[str]:
    """Return the folders in which this environment has its packages: one, or two on some systems."""
    paths = sysconfig.get_paths()
    return sorted({paths["purelib"], paths["platlib"]})


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)
