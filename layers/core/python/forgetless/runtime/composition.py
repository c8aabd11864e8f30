"""Composition: the only place that names adapters. The services it builds live as long as the process."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from http import HTTPStatus
from pathlib import Path

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.extra_headers import extra_headers
from forgetless.adapters.milvus_control import MilvusControl
from forgetless.adapters.secrets_aws import secret
from forgetless.domain.errors import DependencyError, InvalidRequestError
from forgetless.domain.memory_fields import COLUMNS_VERSION
from forgetless.domain.recipe import RECIPE_VERSION
from forgetless.ports.bulk_queue import BulkQueue
from forgetless.ports.embedder import Embedder
from forgetless.ports.erasure_log import ErasureLog
from forgetless.ports.index import Index
from forgetless.ports.ledger import Ledger
from forgetless.ports.llm import Llm
from forgetless.ports.queue import JobQueue
from forgetless.ports.webhooks import WebhookSender
from forgetless.runtime.settings import DEFAULT_LLM_MODEL, DEFAULT_LLM_URL, Settings, load_settings
from forgetless.runtime.timed_ports import timed
from forgetless.service.services import Ports, Services

__all__ = [
    "build_embedder",
    "build_erasure_log",
    "build_index",
    "build_index_files",
    "build_ledger",
    "build_llm",
    "build_queue",
    "build_services",
    "collection_name",
    "services",
]

_HEALTH_TIMEOUT_S = 0.9
#: The first requests of a server may be simultaneous, and with lru_cache alone each could build its own services.
_building = threading.Lock()


def services() -> Services:
    """The services of this process, built at first use, because SnapStart forbids open connections at init."""
    with _building:
        return _services()


@lru_cache(maxsize=1)
def _services() -> Services:
    return build_services(load_settings())


def build_services(settings: Settings) -> Services:
    """Build the services from settings; raises InvalidRequestError, which names the wrong variable."""
    llm, bulk_queue = build_llm(settings), _bulk_queue(settings)
    ports = Ports(
        ledger=timed("ledger", build_ledger(settings)),
        index=timed("index", build_index(settings)),
        embedder=timed("embedder", build_embedder(settings)),
        queue=timed("queue", build_queue(settings)),
        clock=SystemClock(),
        llm=None if llm is None else timed("llm", llm),
        bulk_queue=None if bulk_queue is None else timed("queue", bulk_queue),
        webhooks=_webhooks(settings),
        erasure_log=timed("ledger", build_erasure_log(settings)),
        index_files=build_index_files(settings),
    )
    return Services(
        ports,
        settings_shown=settings.shown(),
        checks=_checks(settings),
        retention=settings.retention,
        # With DynamoDB this would scan the whole ledger.
        rebuilds_lost_index=settings.ledger == "sqlite",
        quotas=settings.quotas,
        guesses_per_minute=settings.guesses_per_minute,
        limits=settings.limits,
        supersession=settings.supersession,
        llm_waits=settings.llm_waits,
        llm_context_tokens=settings.llm_context_tokens,
    )


def collection_name(settings: Settings) -> str:
    """The collection's name. It differs by embedding model, dimension, recipe version and version of the columns.

    The first version of the columns is not part of the name, because at that time there was only one.
    """
    model = re.sub(r"\W+", "_", settings.embedding_model)
    columns = f"_c{COLUMNS_VERSION}" if COLUMNS_VERSION > 1 else ""
    return f"{settings.collection}_{model}_{settings.embedding_dimensions}_r{RECIPE_VERSION}{columns}"


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


def build_erasure_log(settings: Settings) -> ErasureLog:
    """The log of erasures: a file beside the SQLite ledger, or a table beside that of DynamoDB."""
    if settings.ledger != "dynamodb":
        from forgetless.adapters.erasure_log_file import FileErasureLog, log_beside  # noqa: PLC0415

        return FileErasureLog(log_beside(Path(settings.ledger_path)))
    if not settings.erasures_table:
        raise InvalidRequestError("FORGETLESS_ERASURES_TABLE must name the table of the log of erasures")
    from forgetless.adapters.ledger_dynamodb.erasure_log import DynamoErasureLog  # noqa: PLC0415

    return DynamoErasureLog(settings.erasures_table)


def build_index(settings: Settings) -> Index:
    """The index: the collection in Milvus for this model, dimension and recipe."""
    from forgetless.adapters.index_milvus import MilvusIndex  # noqa: PLC0415

    return MilvusIndex(
        settings.milvus_uri,
        token=secret("FORGETLESS_MILVUS_TOKEN", settings.milvus_token),
        collection=collection_name(settings),
        dimensions=settings.embedding_dimensions,
        timeout_s=settings.milvus_timeout_s,
    )


def build_index_files(settings: Settings) -> MilvusControl | None:
    """The supervisor of Milvus Lite, which rewrites the index's files; None for Milvus standalone and Zilliz."""
    return MilvusControl(settings.milvus_control, clock=SystemClock()) if settings.milvus_control else None


def build_embedder(settings: Settings) -> Embedder:
    """The client of the embedding service that the settings name."""
    from forgetless.adapters.embedder_http import HttpEmbedder  # noqa: PLC0415

    return HttpEmbedder(
        settings.embedder_url,
        model=settings.embedding_model,
        api_key=secret("FORGETLESS_EMBEDDER_API_KEY", settings.embedder_api_key),
        dimensions=settings.embedding_dimensions,
        timeout_s=settings.embedder_timeout_s,
        send_task=bool(settings.embedder_send_task),
        omit=settings.omitted,
        most_texts=settings.embedder_batch,
        extra=_headers("FORGETLESS_EMBEDDER_HEADERS", settings.embedder_headers),
        signed=bool(settings.embedder_iam),
    )


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
