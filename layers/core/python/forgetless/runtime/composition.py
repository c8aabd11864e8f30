"""Composition: the only place that names adapters. The services it builds live as long as the process."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from http import HTTPStatus
from importlib import import_module
from pathlib import Path

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.embedder_none import NO_EMBEDDER, NoEmbedder
from forgetless.adapters.extra_headers import extra_headers
from forgetless.adapters.milvus_control import MilvusControl
from forgetless.adapters.secrets_aws import secret
from forgetless.domain.errors import DependencyError, InvalidRequestError
from forgetless.domain.generations import Generation, collection_of
from forgetless.domain.memory_fields import COLUMNS, COLUMNS_VERSION
from forgetless.domain.recipe import RECIPE_VERSION
from forgetless.domain.recipes import RECIPES
from forgetless.ports.bulk_queue import BulkQueue
from forgetless.ports.embedder import Embedder
from forgetless.ports.erasure_log import ErasureLog
from forgetless.ports.index import Index
from forgetless.ports.ledger import Ledger
from forgetless.ports.llm import Llm
from forgetless.ports.queue import JobQueue
from forgetless.ports.webhooks import WebhookSender
from forgetless.runtime.serving import Serving
from forgetless.runtime.settings import DEFAULT_LLM_MODEL, DEFAULT_LLM_URL, Settings, load_settings
from forgetless.runtime.timed_ports import timed
from forgetless.service.generations.kept import KeptGenerations
from forgetless.service.generations.opened import OpenGeneration, Openings
from forgetless.service.generations.record import GenerationRecord
from forgetless.service.generations.upkeep import UpkeepRules
from forgetless.service.services import Ports, Services

__all__ = [
    "build_embedder",
    "build_erasure_log",
    "build_index",
    "build_index_files",
    "build_ledger",
    "build_llm",
    "build_openings",
    "build_queue",
    "build_record",
    "build_services",
    "build_serving",
    "collection_name",
    "is_absent",
    "load_clients",
    "present_generation",
    "services",
    "wanted_generation",
]

_HEALTH_TIMEOUT_S = 0.9
#: The first requests of a server may be simultaneous, and with lru_cache alone each could build its own services.
_building = threading.Lock()


def services() -> Services:
    """The services of this process, built at first use, because SnapStart forbids open connections at init."""
    with _building:
        serving = _serving()
    return serving()


@lru_cache(maxsize=1)
def _serving() -> Serving:
    return build_serving(load_settings())


def load_clients(settings: Settings) -> None:
    """Import what the first request would import, and open nothing."""
    # NumPy comes with pymilvus. Its BLAS would start a thread for each core, and no matrix is ever multiplied here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    on_dynamodb = settings.ledger == "dynamodb"
    names = [
        f"forgetless.adapters.{'ledger_dynamodb' if on_dynamodb else 'ledger_sqlite'}",
        "forgetless.adapters.embedder_http",
        "forgetless.adapters.http_client",
        "forgetless.adapters.index_milvus",
        "pymilvus",
        *(("botocore.session",) if on_dynamodb or settings.queue_url else ()),
    ]
    for name in names:
        import_module(name)


def build_services(settings: Settings) -> Services:
    """The services of the generation that serves now; raises InvalidRequestError, which names the wrong variable."""
    return build_serving(settings)()


def build_serving(settings: Settings) -> Serving:
    """The services of whichever generation serves; raises InvalidRequestError, which names the wrong variable."""
    llm, bulk_queue, clock = build_llm(settings), _bulk_queue(settings), SystemClock()
    ledger = timed("ledger", build_ledger(settings))
    openings = build_openings(settings)
    rules = UpkeepRules(
        wanted_generation(settings),
        # With DynamoDB an operator begins, because a deployed service must first have the rights and the place.
        by_itself=settings.ledger == "sqlite",
        kept_s=settings.old_generation_s,
    )
    first = present_generation(settings)
    ports = Ports(
        ledger=ledger,
        index=openings.of(first).index,
        embedder=openings.of(first).embedder,
        queue=timed("queue", build_queue(settings)),
        clock=clock,
        llm=None if llm is None else timed("llm", llm),
        bulk_queue=None if bulk_queue is None else timed("queue", bulk_queue),
        webhooks=_webhooks(settings),
        erasure_log=timed("ledger", build_erasure_log(settings)),
        index_files=build_index_files(settings),
    )
    return Serving(
        partial(_build, settings, ports),
        record=build_record(settings, ledger, openings),
        openings=openings,
        rules=rules,
        unread=lambda: first,
    )


def _build(settings: Settings, ports: Ports, kept: KeptGenerations, before: Services | None) -> Services:
    mine = kept.openings.of(kept.mine)
    return Services(
        replace(ports, index=mine.index, embedder=mine.embedder, recipe=mine.recipe),
        settings_shown=settings.shown(),
        checks=_checks(settings),
        retention=settings.retention,
        # With DynamoDB this would scan the whole ledger.
        rebuilds_lost_index=settings.ledger == "sqlite",
        quotas=settings.quotas,
        guesses_per_minute=settings.guesses_per_minute,
        limits=settings.limits,
        supersession=settings.supersession_for(kept.mine.model),
        llm_waits=settings.llm_waits,
        kept=kept,
        before=before,
        llm_context_tokens=settings.llm_context_tokens,
    )


def collection_name(settings: Settings) -> str:
    """The collection of the present embedder, and of this version's recipe and columns."""
    return present_generation(settings).collection


def present_generation(settings: Settings) -> Generation:
    """The generation of the present embedder, and of this version's recipe and columns."""
    return _generation(settings, settings.embedding_model, settings.embedding_dimensions, settings.embedder_url)


def wanted_generation(settings: Settings) -> Generation:
    """The generation that shall serve: that of the next embedder where the settings name one."""
    if not settings.next_embedder_url:
        return present_generation(settings)
    model = settings.next_embedding_model or settings.embedding_model
    dimensions = settings.next_embedding_dimensions or settings.embedding_dimensions
    return _generation(settings, model, dimensions, settings.next_embedder_url)


def _generation(
    settings: Settings,
    model: str,
    dimensions: int,
    url: str,
    *,
    recipe: int | None = None,
    columns: int | None = None,
) -> Generation:
    recipe, columns = recipe or RECIPE_VERSION, columns or COLUMNS_VERSION
    name = collection_of(settings.collection, model, dimensions, recipe, columns)
    return Generation(model, dimensions, recipe, columns, name, url)


def build_openings(settings: Settings) -> Openings:
    """What opens the index and the embedder of a generation."""

    def open_(generation: Generation) -> OpenGeneration:
        index, embedder = build_index(settings, generation), build_embedder(settings, generation)
        return OpenGeneration(timed("index", index), timed("embedder", embedder), RECIPES[generation.recipe])

    return Openings(open_)


def build_record(settings: Settings, ledger: Ledger, openings: Openings) -> GenerationRecord:
    """The record of the generations in this ledger."""
    first = partial(_first_generation, settings, ledger, openings)
    return GenerationRecord(ledger=ledger, clock=SystemClock(), first=first)


def _first_generation(settings: Settings, ledger: Ledger, openings: Openings) -> Generation:
    """The generation that serves where no record says so: an earlier one if its collection is there.

    A ledger without any memory needs no index of an earlier version, so Milvus is not asked for one. Whoever let the
    present one serve instead would have written the record. Raises IndexUnavailableError.
    """
    present = present_generation(settings)
    if not ledger.tenants(limit=1)[0]:
        return present
    earlier = [
        _generation(settings, present.model, present.dimensions, present.embedder_url, recipe=recipe, columns=columns)
        for recipe in sorted(RECIPES, reverse=True)
        for columns in sorted(COLUMNS, reverse=True)
        if recipe <= RECIPE_VERSION and (recipe, columns) != (RECIPE_VERSION, COLUMNS_VERSION)
    ]
    return next((one for one in earlier if openings.of(one).index.exists()), present)


def build_ledger(settings: Settings) -> Ledger:
    """The ledger that FORGETLESS_LEDGER names."""
    if settings.ledger == "dynamodb":
        if not settings.ledger_table:
            raise InvalidRequestError("FORGETLESS_LEDGER_TABLE must name the table of FORGETLESS_LEDGER=dynamodb")
        from forgetless.adapters.ledger_dynamodb import DynamoLedger  # noqa: PLC0415 - import only what is used

        return DynamoLedger(settings.ledger_table, succeeded_jobs_s=settings.retention.succeeded_jobs_s)
    if settings.ledger != "sqlite":
        raise InvalidRequestError(f"FORGETLESS_LEDGER must be sqlite or dynamodb, not {settings.ledger!r}")
    from forgetless.adapters.ledger_sqlite import SqliteLedger  # noqa: PLC0415

    return SqliteLedger(settings.ledger_path)


def is_absent(settings: Settings) -> bool:
    """Whether the SQLite file is missing or empty. Opening the ledger would create it."""
    path = Path(settings.ledger_path)
    return settings.ledger == "sqlite" and (not path.exists() or path.stat().st_size == 0)


def build_erasure_log(settings: Settings) -> ErasureLog:
    """The log of erasures: a file beside the SQLite ledger, or a table beside that of DynamoDB."""
    if settings.ledger != "dynamodb":
        from forgetless.adapters.erasure_log_file import FileErasureLog, log_beside  # noqa: PLC0415

        return FileErasureLog(log_beside(Path(settings.ledger_path)))
    if not settings.erasures_table:
        raise InvalidRequestError("FORGETLESS_ERASURES_TABLE must name the table of the log of erasures")
    from forgetless.adapters.ledger_dynamodb.erasure_log import DynamoErasureLog  # noqa: PLC0415

    return DynamoErasureLog(settings.erasures_table)


def build_index(settings: Settings, generation: Generation | None = None) -> Index:
    """The index: the collection in Milvus of this generation, or of the present one."""
    of = generation or present_generation(settings)
    from forgetless.adapters.index_milvus import MilvusIndex  # noqa: PLC0415

    return MilvusIndex(
        settings.milvus_uri,
        token=secret("FORGETLESS_MILVUS_TOKEN", settings.milvus_token),
        collection=of.collection,
        dimensions=of.dimensions,
        recipe=of.recipe,
        columns=of.columns,
        timeout_s=settings.milvus_timeout_s,
    )


def build_index_files(settings: Settings) -> MilvusControl | None:
    """The supervisor of Milvus Lite, which rewrites the index's files; None for Milvus standalone and Zilliz."""
    return MilvusControl(settings.milvus_control, clock=SystemClock()) if settings.milvus_control else None


def build_embedder(settings: Settings, generation: Generation | None = None) -> Embedder:
    """The client of the embedding service of this generation, or of the present one."""
    from forgetless.adapters.embedder_http import HttpEmbedder  # noqa: PLC0415

    of = generation or present_generation(settings)
    present, wanted = present_generation(settings), wanted_generation(settings)
    url, key = settings.embedder_url, secret("FORGETLESS_EMBEDDER_API_KEY", settings.embedder_api_key)
    if not _same_model(of, present):
        # The settings know where the next model is; where the last one was is known from the record.
        url = settings.next_embedder_url if _same_model(of, wanted) else of.embedder_url
        if settings.next_embedder_api_key and _same_model(of, wanted):
            key = secret("FORGETLESS_NEXT_EMBEDDER_API_KEY", settings.next_embedder_api_key)
    if url == NO_EMBEDDER:
        return NoEmbedder(of.model, dimensions=of.dimensions)
    return HttpEmbedder(
        url,
        model=of.model,
        api_key=key,
        dimensions=of.dimensions,
        timeout_s=settings.embedder_timeout_s,
        send_task=bool(settings.embedder_send_task),
        omit=settings.omitted,
        most_texts=settings.embedder_batch,
        extra=_headers("FORGETLESS_EMBEDDER_HEADERS", settings.embedder_headers),
        signed=bool(settings.embedder_iam),
    )


def _same_model(one: Generation, other: Generation) -> bool:
    return (one.model, one.dimensions) == (other.model, other.dimensions)


def build_llm(settings: Settings) -> Llm | None:
    """The LLM of the settings; None if they name none."""
    if not settings.llm_configured:
        return None
    from forgetless.adapters.llm_http import HttpLlm  # noqa: PLC0415
    from forgetless.adapters.llm_request import read_options  # noqa: PLC0415

    return HttpLlm(
        settings.llm_base_url or DEFAULT_LLM_URL,
        model=settings.llm_model or DEFAULT_LLM_MODEL,
        api_key=secret("OPENAI_API_KEY", settings.llm_api_key),
        extra=_headers("FORGETLESS_LLM_HEADERS", settings.llm_headers),
        options=read_options("FORGETLESS_LLM_OPTIONS", settings.llm_options),
    )


def _headers(variable: str, value: str) -> Callable[[], Mapping[str, str]]:
    return extra_headers(variable, secret(variable, value))


def _webhooks(settings: Settings) -> WebhookSender:
    from forgetless.adapters.webhook_http import HttpWebhookSender  # noqa: PLC0415

    return HttpWebhookSender(allow_private=bool(settings.webhook_allow_private))


def build_queue(settings: Settings) -> JobQueue:
    """The queue that FORGETLESS_QUEUE_URL names; without one, a queue that refuses every message."""
    if not settings.queue_url:
        from forgetless.adapters.queue_none import NoQueue  # noqa: PLC0415

        return NoQueue()
    from forgetless.adapters.queue_sqs import SqsQueue  # noqa: PLC0415

    return SqsQueue(settings.queue_url)


def _bulk_queue(settings: Settings) -> BulkQueue | None:
    if not settings.bulk_queue_url:
        return None
    from forgetless.adapters.queue_sqs import SqsBulkQueue  # noqa: PLC0415

    return SqsBulkQueue(settings.bulk_queue_url)


def _checks(settings: Settings) -> dict[str, Callable[[], None]]:
    urls = json.loads(settings.health_urls) if settings.health_urls else {}
    return {name: partial(_reach, name, url) for name, url in urls.items()}


def _reach(name: str, url: str) -> None:
    import httpcore  # noqa: PLC0415

    limits = dict.fromkeys(("connect", "read", "write", "pool"), _HEALTH_TIMEOUT_S)
    try:
        answer = httpcore.request("GET", url, extensions={"timeout": limits})
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
    ) as error:
        raise DependencyError(f"{name} does not answer: {type(error).__name__}") from error
    if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        raise DependencyError(f"{name} answers with status {answer.status}")
