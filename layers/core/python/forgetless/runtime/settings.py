"""Settings: one frozen object, read once from the environment. docs/settings.md is generated from its fields.

An explicit argument overrides the environment, which overrides the default. An empty variable counts as unset.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

from forgetless.api.mcp.oauth_redirects import is_redirect_entry
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.generations import KEPT_DAYS
from forgetless.domain.limits import EMBEDDED_AT_ONCE, GUESSES_PER_MINUTE, LLM_WAITS, RequestLimits
from forgetless.domain.llm_context import DEFAULT_CONTEXT, LEAST_CONTEXT
from forgetless.domain.quotas import DefaultQuotas, QuotaName, Quotas, read_quotas
from forgetless.domain.retention import DAY_S, Retention
from forgetless.domain.supersession import SupersessionRules, least_nearness

__all__ = ["Settings", "load_settings"]

#: The model that is used when only the base URL of an LLM is set.
DEFAULT_LLM_MODEL = "gpt-5-mini"
DEFAULT_LLM_URL = "https://api.openai.com/v1"

#: The limits that apply if no setting names others.
_LIMITS = RequestLimits()

#: URLs that may contain a user and password, each with the key that would be sent to the same server.
_KEYS = {
    "llm_base_url": "llm_api_key",
    "embedder_url": "embedder_api_key",
    "next_embedder_url": "next_embedder_api_key",
    "milvus_uri": "milvus_token",
}

#: A scheme, a host and optionally a port, without a slash at the end.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s]+")
_BASE_PATH = re.compile(r"(?:/[\w.~$!*'(),+-]+)+", re.ASCII)
#: With what the paths of the API begin, except `api`, a usual base path; a test compares it with the routes.
_OWN_PATHS = frozenset(
    [
        ".well-known",
        "api-keys",
        "audit",
        "configure",
        "console",
        "docs",
        "entities",
        "export",
        "export-jobs",
        "generate-instructions",
        "health",
        "import-checks",
        "import-jobs",
        "mcp",
        "memories",
        "oauth",
        "openapi.json",
        "reset",
        "search",
        "usage",
        "v1",
        "v2",
        "v3",
    ]
)
#: The parts of a URL that may hold a credential: user and password, and everything from the query on.
_USERINFO = re.compile(r"(://)[^/?#\s]*@")
_URL_QUERY = re.compile(r"(://[^?#\s\"]*[?#])[^\s\"]+")
#: A value in a JSON object whose name says that it is a secret.
_SECRET_VALUE = re.compile(
    r'("[^"]*(?:key|token|secret|passw|auth|credential)[^"]*"\s*:\s*)"(?:[^"\\]|\\.)*"', re.IGNORECASE
)


#: The fields of a request for embeddings that a server may refuse, and that it can do without.
_OPTIONAL_FIELDS = frozenset({"dimensions", "encoding_format", "task", "user"})

_METRICS = ("off", "emf", "prometheus")
_HIGHEST_PORT = 65_535
#: No retention is longer: a century in days, so that every time is one that the calendar has.
_MOST_DAYS = 36_525


def _setting(name: str, default: Any, about: str, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"name": name, "about": about, "secret": secret})


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that is configured through the environment."""

    ledger: str = _setting("FORGETLESS_LEDGER", "sqlite", "The ledger: `sqlite` or `dynamodb`.")
    ledger_path: str = _setting("FORGETLESS_LEDGER_PATH", ".forgetless/ledger.db", "The file of the SQLite ledger.")
    ledger_table: str = _setting("FORGETLESS_LEDGER_TABLE", "", "The table of the DynamoDB ledger.")
    erasures_table: str = _setting(
        "FORGETLESS_ERASURES_TABLE",
        "",
        "The table of the log of erasures, beside that of the DynamoDB ledger. With SQLite it is a file.",
    )
    milvus_uri: str = _setting(
        "FORGETLESS_MILVUS_URI", "http://127.0.0.1:19530", "Milvus: `unix:PATH` (Lite), `http://HOST:PORT`, or Zilliz."
    )
    milvus_token: str = _setting(
        "FORGETLESS_MILVUS_TOKEN", "", "The token for Milvus, `user:password`, or the key for Zilliz.", secret=True
    )
    milvus_timeout_s: float = _setting(
        "FORGETLESS_MILVUS_TIMEOUT_S", 5.0, "Seconds after which a call to Milvus fails."
    )
    milvus_control: str = _setting(
        "FORGETLESS_MILVUS_CONTROL",
        "",
        "Milvus Lite only: where its supervisor is asked to compact the index file, `unix:PATH` or `http://HOST:PORT`.",
    )
    collection: str = _setting(
        "FORGETLESS_COLLECTION",
        "forgetless",
        "The first part of the collection's name; model, dimension and recipe follow.",
    )
    embedder_url: str = _setting(
        "FORGETLESS_EMBEDDER_URL",
        "http://127.0.0.1:7997",
        "The embedding service (OpenAI's API); `none:` searches by words alone.",
    )
    embedder_api_key: str = _setting(
        "FORGETLESS_EMBEDDER_API_KEY", "", "The key for the embedding service, if it needs one.", secret=True
    )
    embedder_iam: int = _setting(
        "FORGETLESS_EMBEDDER_IAM",
        0,
        "1 signs requests to the embedder with AWS credentials, for a function URL that asks IAM.",
    )
    embedder_timeout_s: float = _setting(
        "FORGETLESS_EMBEDDER_TIMEOUT_S", 10.0, "Seconds after which an embedding fails, retries included."
    )
    embedder_send_task: int = _setting(
        "FORGETLESS_EMBEDDER_SEND_TASK",
        1,
        "1 sends jina's `task` with each text, and a digest of its owner as `user`; 0 sends neither.",
    )
    embedder_omit: str = _setting(
        "FORGETLESS_EMBEDDER_OMIT",
        "",
        "Fields that the embedding service refuses, of `dimensions,encoding_format,task,user`. Unset, they are found.",
    )
    embedder_batch: int = _setting(
        "FORGETLESS_EMBEDDER_BATCH",
        EMBEDDED_AT_ONCE,
        "The most texts in one request to the embedding service; a lower limit of the service is found.",
    )
    embedder_headers: str = _setting(
        "FORGETLESS_EMBEDDER_HEADERS",
        "",
        "More headers of requests to the embedding service: a JSON object from name to value.",
        secret=True,
    )
    embedding_model: str = _setting(
        "FORGETLESS_EMBEDDING_MODEL", "all-MiniLM-L6-v2", "The name of the embedding model."
    )
    embedding_dimensions: int = _setting("FORGETLESS_EMBEDDING_DIMENSIONS", 384, "The dimension of the vectors.")
    next_embedder_url: str = _setting(
        "FORGETLESS_NEXT_EMBEDDER_URL",
        "",
        "The embedding service of the next model, beside the present one while the index is filled anew for it.",
    )
    next_embedder_api_key: str = _setting(
        "FORGETLESS_NEXT_EMBEDDER_API_KEY", "", "The key for that service; unset, it is the present one's.", secret=True
    )
    next_embedding_model: str = _setting(
        "FORGETLESS_NEXT_EMBEDDING_MODEL", "", "The name of the next model; unset, it is the present one's."
    )
    next_embedding_dimensions: int = _setting(
        "FORGETLESS_NEXT_EMBEDDING_DIMENSIONS", 0, "The dimension of its vectors; 0: that of the present ones."
    )
    old_generation_days: float = _setting(
        "FORGETLESS_OLD_GENERATION_DAYS",
        KEPT_DAYS,
        "Days for which the index of the last model or recipe is kept up to date, to go back to it; 0: forever.",
    )
    llm_base_url: str = _setting(
        "OPENAI_BASE_URL", "", "An OpenAI-compatible API. This or FORGETLESS_LLM_MODEL configures an LLM."
    )
    llm_model: str = _setting(
        "FORGETLESS_LLM_MODEL", "", f"The chat model for extraction. If only the base URL is set: {DEFAULT_LLM_MODEL}."
    )
    llm_api_key: str = _setting(
        "OPENAI_API_KEY", "", "The key for the LLM. It configures nothing by itself.", secret=True
    )
    llm_headers: str = _setting(
        "FORGETLESS_LLM_HEADERS",
        "",
        "More headers of requests to the LLM: a JSON object from name to value.",
        secret=True,
    )
    llm_options: str = _setting(
        "FORGETLESS_LLM_OPTIONS",
        "",
        'More fields of requests to the LLM: a JSON object, like {"temperature": 0, "max_tokens": 4000}.',
    )
    llm_context_tokens: int = _setting(
        "FORGETLESS_LLM_CONTEXT_TOKENS",
        DEFAULT_CONTEXT,
        "How many tokens the LLM reads and writes at once. Longer adds are extracted in several calls.",
    )
    supersede_nearness: float = _setting(
        "FORGETLESS_SUPERSEDE_NEARNESS",
        0.0,
        "The least cosine of a fact and a memory that it supersedes; 0 takes the model's, below 0 does not look at it.",
    )
    supersede_any_role: int = _setting(
        "FORGETLESS_SUPERSEDE_ANY_ROLE",
        0,
        "1 lets text of assistants, tools and systems supersede what the user said.",
    )
    queue_url: str = _setting(
        "FORGETLESS_QUEUE_URL",
        "",
        "The FIFO queue for adds that run later. Without one, a server process runs them itself.",
    )
    bulk_queue_url: str = _setting(
        "FORGETLESS_BULK_QUEUE_URL",
        "",
        "The standard queue for bulk jobs. Without one, a server process does them itself, beside its requests.",
    )
    background: int = _setting(
        "FORGETLESS_BACKGROUND",
        1,
        "Under uvicorn: 0 leaves sweep, webhooks and jobs to another process, as `forgetless serve` does.",
    )
    message_retention_days: float = _setting(
        "FORGETLESS_MESSAGE_RETENTION_DAYS",
        0.0,
        "Days for which raw messages are kept as context; 0 keeps them forever.",
    )
    job_retention_days: float = _setting(
        "FORGETLESS_JOB_RETENTION_DAYS", 30.0, "Days for which jobs that succeeded are shown as events; 0: forever."
    )
    failed_job_retention_days: float = _setting(
        "FORGETLESS_FAILED_JOB_RETENTION_DAYS",
        180.0,
        "Days for which jobs that failed are kept with their messages; 0: forever.",
    )
    held_job_hours: float = _setting(
        "FORGETLESS_HELD_JOB_HOURS",
        24.0,
        "Hours for which an add waits for an LLM or embedder that fails; after that it fails, too.",
    )
    expired_memory_retention_days: float = _setting(
        "FORGETLESS_EXPIRED_MEMORY_RETENTION_DAYS",
        0.0,
        "Days after which memories that have expired are deleted; 0 keeps them, hidden.",
    )
    requests_per_minute: int = _setting(
        "FORGETLESS_REQUESTS_PER_MINUTE",
        0,
        "The default of the quota requests_per_minute of every key; 0 means no limit.",
    )
    key_quotas: str = _setting(
        "FORGETLESS_KEY_QUOTAS", "", "Quotas of every key that has none of its own, such as `adds_per_day=1000`."
    )
    tenant_quotas: str = _setting(
        "FORGETLESS_TENANT_QUOTAS",
        "",
        "Quotas of every tenant that has none of its own: `adds_per_day=1000,stored_memories=9000`.",
    )
    llm_waits: int = _setting(
        "FORGETLESS_LLM_WAITS_PER_TENANT",
        0,
        "The most requests of a tenant that wait for the LLM at once; further adds go on later. 0: any number. "
        f"For several tenants on one machine: {LLM_WAITS}.",
    )
    guesses_per_minute: int = _setting(
        "FORGETLESS_INVALID_KEYS_PER_MINUTE",
        GUESSES_PER_MINUTE,
        "Invalid keys per minute that one address may present to each environment before it gets 429; 0: any number.",
    )
    max_messages: int = _setting("FORGETLESS_MAX_MESSAGES", _LIMITS.messages, "The most messages of one add.")
    max_message_chars: int = _setting(
        "FORGETLESS_MAX_MESSAGE_CHARS", _LIMITS.message_chars, "The most characters of one message or memory."
    )
    max_query_chars: int = _setting(
        "FORGETLESS_MAX_QUERY_CHARS", _LIMITS.query_chars, "The most characters of the query of a search."
    )
    max_filter_nodes: int = _setting(
        "FORGETLESS_MAX_FILTER_NODES",
        _LIMITS.filter_nodes,
        "The most keys, groups and list entries in all filters of a request together.",
    )
    max_batch: int = _setting(
        "FORGETLESS_MAX_BATCH", _LIMITS.batch, "The most memories that one batch changes or deletes."
    )
    max_prompt_chars: int = _setting(
        "FORGETLESS_MAX_PROMPT_CHARS", _LIMITS.prompt_chars, "The most characters of one instruction for the LLM."
    )
    max_history_bytes: int = _setting(
        "FORGETLESS_MAX_HISTORY_BYTES",
        _LIMITS.history_bytes,
        "The most bytes that the earlier versions of one memory may store; then updates of it are refused.",
    )
    cors_origins: str = _setting(
        "FORGETLESS_CORS_ORIGINS", "", "Origins whose pages may call the API, separated by commas; `*` for all."
    )
    oauth_redirects: str = _setting(
        "FORGETLESS_OAUTH_REDIRECTS",
        "claude.ai,claude.com,chatgpt.com,vscode.dev,cursor:",
        "Where the log-in page for MCP hosts may send a browser: hosts, `scheme:` or `*`, by commas; `none`: no OAuth.",
    )
    webhook_allow_private: int = _setting(
        "FORGETLESS_WEBHOOK_ALLOW_PRIVATE", 0, "1 allows webhooks to private addresses, including this machine."
    )
    base_path_given: str = _setting(
        "FORGETLESS_BASE_PATH", "", "What precedes every path outside, such as `/memory` behind a proxy or a domain."
    )
    docs: int = _setting("FORGETLESS_DOCS", 1, "0 switches off the pages at /docs and /openapi.json.")
    console: int = _setting("FORGETLESS_CONSOLE", 1, "0 switches off the console at /console.")
    metrics: str = _setting(
        "FORGETLESS_METRICS",
        "off",
        "Where metrics go: `off`, `emf` (lines in the log, for CloudWatch) or `prometheus` (text on a port).",
    )
    metrics_address: str = _setting(
        "FORGETLESS_METRICS_ADDRESS",
        "127.0.0.1:9464",
        "The `HOST:PORT` on which a server shows `/metrics` with FORGETLESS_METRICS=prometheus.",
    )
    metrics_tenants: int = _setting(
        "FORGETLESS_METRICS_TENANTS",
        0,
        "How many tenants a process names in metrics; all others are `other`. 0 names none.",
    )
    metrics_namespace: str = _setting(
        "POWERTOOLS_METRICS_NAMESPACE", "forgetless", "The namespace of metrics in CloudWatch."
    )
    health_urls: str = _setting(
        "FORGETLESS_HEALTH_URLS", "", "More parts that /health checks: a JSON object from name to URL."
    )

    @property
    def llm_configured(self) -> bool:
        """Whether infer=true extracts facts. For privacy, an API key in the environment is not enough."""
        return bool(self.llm_base_url or self.llm_model)

    @property
    def limits(self) -> RequestLimits:
        """The limits of one request; raises InvalidRequestError for a limit below 1, which would allow nothing."""
        names = {one.name: one.metadata["name"] for one in fields(self)}
        values = {one.name: getattr(self, f"max_{one.name}") for one in fields(RequestLimits)}
        for name, value in values.items():
            if value < 1:
                raise InvalidRequestError(f"{names[f'max_{name}']} must be at least 1, not {value}")
        return RequestLimits(**values)

    @property
    def quotas(self) -> DefaultQuotas:
        """The quotas of those who have none of their own; raises InvalidRequestError, which names the variable."""
        tenant, key = (
            read_quotas(filter(None, map(str.strip, given.split(","))), field=name)
            for name, given in (
                ("FORGETLESS_TENANT_QUOTAS", self.tenant_quotas),
                ("FORGETLESS_KEY_QUOTAS", self.key_quotas),
            )
        )
        by_minute: dict[str, int | None] = (
            {QuotaName.REQUESTS_PER_MINUTE: self.requests_per_minute} if self.requests_per_minute > 0 else {}
        )
        return DefaultQuotas(tenant=tenant, key=key.over(Quotas.of(by_minute)))

    @property
    def omitted(self) -> frozenset[str]:
        """The fields of FORGETLESS_EMBEDDER_OMIT; raises InvalidRequestError for a name that is none of them."""
        names = frozenset(filter(None, map(str.strip, self.embedder_omit.split(","))))
        if unknown := sorted(names - _OPTIONAL_FIELDS):
            fields_ = ", ".join(sorted(_OPTIONAL_FIELDS))
            raise InvalidRequestError(f"FORGETLESS_EMBEDDER_OMIT: {unknown[0]!r} must be one of {fields_}")
        return names

    @property
    def old_generation_s(self) -> float | None:
        """For how long the old generation of the index is kept; None: forever."""
        return _seconds(self.old_generation_days)

    @property
    def supersession(self) -> SupersessionRules:
        """What a fact may supersede, with the texts embedded by the present model."""
        return self.supersession_for(self.embedding_model)

    def supersession_for(self, model: str) -> SupersessionRules:
        """What a fact may supersede, with the texts embedded by this model."""
        nearness = self.supersede_nearness or least_nearness(model)
        return SupersessionRules(nearness=nearness, any_role=bool(self.supersede_any_role))

    @property
    def retention(self) -> Retention:
        """How long records are kept."""
        return Retention(
            messages_s=_seconds(self.message_retention_days),
            succeeded_jobs_s=_seconds(self.job_retention_days),
            failed_jobs_s=_seconds(self.failed_job_retention_days),
            expired_memories_s=_seconds(self.expired_memory_retention_days),
            held_jobs_s=self.held_job_hours * 3600.0,
        )

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """The origins of FORGETLESS_CORS_ORIGINS; raises InvalidRequestError for a value that is not an origin."""
        origins = tuple(origin.strip() for origin in self.cors_origins.split(",") if origin.strip())
        for origin in origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise InvalidRequestError(f"FORGETLESS_CORS_ORIGINS: {origin!r} must be like https://app.example.com")
        return origins

    @property
    def base_path(self) -> str:
        """FORGETLESS_BASE_PATH with a slash before and none after it, or ""; raises InvalidRequestError."""
        base = f"/{self.base_path_given.strip('/')}".rstrip("/")
        if base and not _BASE_PATH.fullmatch(base):
            raise InvalidRequestError(
                f"FORGETLESS_BASE_PATH must be like /memory or /tools/memory, not {self.base_path_given!r}"
            )
        first = base[1:].partition("/")[0]
        if first in _OWN_PATHS:
            raise InvalidRequestError(
                f"FORGETLESS_BASE_PATH must not begin with {first!r}, as paths of the API do: nobody could tell if "
                "a proxy has taken it off"
            )
        return base

    @property
    def oauth_hosts(self) -> tuple[str, ...]:
        """The entries of FORGETLESS_OAUTH_REDIRECTS; none if OAuth is switched off; raises InvalidRequestError."""
        entries = tuple(entry.strip().lower() for entry in self.oauth_redirects.split(",") if entry.strip())
        if entries == ("none",):
            return ()
        for entry in entries:
            if entry == "none" or not is_redirect_entry(entry):
                raise InvalidRequestError(
                    f"FORGETLESS_OAUTH_REDIRECTS: {entry!r} must be a host like claude.ai, without https://, port and "
                    "path, or the scheme of a program, like cursor:, or *; none stands alone"
                )
        return entries

    @property
    def metrics_place(self) -> tuple[str, int]:
        """Host and port of FORGETLESS_METRICS_ADDRESS; raises InvalidRequestError for anything else."""
        host, _, port = self.metrics_address.rpartition(":")
        if not host or not port.isdecimal() or int(port) > _HIGHEST_PORT:
            raise InvalidRequestError(
                f"FORGETLESS_METRICS_ADDRESS must be HOST:PORT, like 127.0.0.1:9464, not {self.metrics_address!r}"
            )
        return host.strip("[]"), int(port)

    def shown(self) -> dict[str, Any]:
        """All settings by variable name; of a secret only whether it is set, of a URL nothing that may be one."""
        return {
            one.metadata["name"]: "[redacted]" if one.metadata["secret"] and value else _without_credentials(value)
            for one in fields(self)
            for value in [getattr(self, one.name)]
        }


def _without_credentials(value: Any) -> Any:
    """The setting without what may be a credential: in URLs user, password, query and fragment, in JSON by its name."""
    if not isinstance(value, str):
        return value
    value = _SECRET_VALUE.sub(r'\1"[redacted]"', value)
    value = _USERINFO.sub(r"\1[redacted]@", value)
    return _URL_QUERY.sub(r"\1[redacted]", value)


def _seconds(days: float) -> float | None:
    return days * DAY_S or None


def load_settings(environ: Mapping[str, str] = os.environ, **explicit: Any) -> Settings:
    """Read the environment; raises InvalidRequestError, which names the wrong variable or two that contradict."""
    values: dict[str, Any] = {}
    for one in fields(Settings):
        raw = environ.get(one.metadata["name"], "").strip()
        if raw:
            values[one.name] = _converted(one.metadata["name"], raw, type(one.default))
    settings = Settings(**(values | explicit))
    _check_credentials(settings)
    _check_signature(settings)
    _check_retention(settings)
    _ = settings.base_path, settings.oauth_hosts
    if not 1 <= settings.embedder_batch <= EMBEDDED_AT_ONCE:
        raise InvalidRequestError(f"FORGETLESS_EMBEDDER_BATCH must be a number from 1 to {EMBEDDED_AT_ONCE}")
    if settings.llm_context_tokens < LEAST_CONTEXT:
        raise InvalidRequestError(f"FORGETLESS_LLM_CONTEXT_TOKENS must be a number from {LEAST_CONTEXT} up")
    if settings.metrics not in _METRICS:
        raise InvalidRequestError(f"FORGETLESS_METRICS must be one of {', '.join(_METRICS)}, not {settings.metrics!r}")
    return settings


def _check_retention(settings: Settings) -> None:
    for one in fields(settings):
        if one.name.endswith("_retention_days") and not 0 <= getattr(settings, one.name) < _MOST_DAYS:
            name = one.metadata["name"]
            raise InvalidRequestError(f"{name} must be a number of days from 0 (forever) to less than {_MOST_DAYS}")


def _check_credentials(settings: Settings) -> None:
    """Refuse two credentials for one server: only one can be sent, and only the operator knows which one is meant."""
    names = {one.name: one.metadata["name"] for one in fields(Settings)}
    for url, key in _KEYS.items():
        if getattr(settings, key) and _has_credentials(getattr(settings, url)):
            raise InvalidRequestError(
                f"{names[url]} contains a user or password, and {names[key]} is set too, but only one of them can be "
                f"sent: remove them from {names[url]}, or unset {names[key]}"
            )


def _check_signature(settings: Settings) -> None:
    if settings.embedder_iam and _has_credentials(settings.embedder_url):
        raise InvalidRequestError(
            "FORGETLESS_EMBEDDER_URL contains a user or password, and FORGETLESS_EMBEDDER_IAM signs requests, but only "
            "one of them can be sent: remove them from FORGETLESS_EMBEDDER_URL, or unset FORGETLESS_EMBEDDER_IAM"
        )


def _has_credentials(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:  # not a URL: the adapter that uses it will say so
        return False
    return parts.username is not None or parts.password is not None


def _converted(name: str, raw: str, kind: type) -> Any:
    try:
        return kind(raw)
    except ValueError:
        raise InvalidRequestError(f"{name} must be {'a number' if kind is not str else 'text'}, not {raw!r}") from None
