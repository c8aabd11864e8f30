"""Caller: the key of a request and the use cases that it may use; every endpoint receives one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends
from starlette.requests import Request
from starlette.types import Scope

from forgetless.domain.errors import ForbiddenError
from forgetless.domain.key_limits import KeyLimits
from forgetless.domain.keys import ApiKey
from forgetless.domain.limits import RequestLimits
from forgetless.domain.tenants import OPERATOR
from forgetless.domain.usage import UsageKind
from forgetless.ports.request_effects import current_request_effects
from forgetless.service.access.limited_ledger import NOT_ITS_WORK

if TYPE_CHECKING:
    from forgetless.service.access.usage_meter import UsageMeter
    from forgetless.service.request_services import RequestServices
    from forgetless.service.requests import AddRequest
    from forgetless.service.services import Services

__all__ = [
    "CONSOLE_PATH",
    "HEALTH_PATH",
    "MCP_NEEDS",
    "MCP_PATH",
    "MCP_ROUTE",
    "MCP_STATUS",
    "MCP_TOOL",
    "OAUTH_PATHS",
    "OPEN_FILE",
    "OPEN_PATHS",
    "Caller",
    "CurrentCaller",
    "get_caller",
    "is_open_path",
    "key_of",
    "set_caller",
    "set_idempotency_key",
]

#: Paths that answer without a key (GET and HEAD).
HEALTH_PATH = "/health"
#: The console; its files are below it.
CONSOLE_PATH = "/console"
#: The name in the state of a request that says that its answer is a file of the console.
OPEN_FILE = "open_file"
OPEN_PATHS = frozenset({"/", HEALTH_PATH, "/docs", "/openapi.json", CONSOLE_PATH})
#: The path of the Model Context Protocol.
MCP_PATH = "/mcp"
#: Paths of the OAuth server for MCP hosts. They answer without a key; the log-in page asks for one itself.
OAUTH_PATHS = frozenset(
    {
        *(f"/oauth/{name}" for name in ("authorize", "login", "register", "revoke", "token")),
        *(f"/.well-known/oauth-protected-resource{path}" for path in ("", "/mcp")),
        # OpenID's name too, because clients look there if the service stands below a path of its host.
        *(f"/.well-known/{name}" for name in ("oauth-authorization-server", "openid-configuration")),
    }
)


def is_open_path(path: str) -> bool:
    """Whether a GET of this path needs no key."""
    return path in OPEN_PATHS or path.startswith(CONSOLE_PATH + "/")


#: The name of the caller in the state of a request.
_STATE = "caller"
#: The names there of what /mcp is asked for, as it has no route of the table: its path, the tool, the role that the
#: tool needs, and the status that a route would have answered.
MCP_ROUTE, MCP_TOOL, MCP_NEEDS, MCP_STATUS = "mcp_route", "mcp_tool", "mcp_needs", "mcp_status"


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of one request; `key` is None only on routes that need no key."""

    build_services: Callable[[], Services]
    key: ApiKey | None
    #: If the client gave an Idempotency-Key: identifies the request within its tenant, by method, path, key and body.
    idempotency_name: str | None = None
    #: Counts what the key uses; None where nothing is counted.
    meter: UsageMeter | None = None
    #: What a request may contain at most.
    limits: RequestLimits = field(default_factory=RequestLimits)

    @property
    def services(self) -> RequestServices:
        """The use cases of requests; those of a limited key stay within its limits.

        The first call in an environment builds them.
        """
        services, limits = self.build_services(), self.key_limits
        return services if limits is None else services.limited_to(limits)

    @property
    def all_services(self) -> Services:
        """All use cases, also those of operators for the whole tenant; raises ForbiddenError for a limited key."""
        if self.key_limits is not None:
            raise ForbiddenError(NOT_ITS_WORK)
        return self.build_services()

    @property
    def key_limits(self) -> KeyLimits | None:
        """What the key may reach; None if it may reach all data of the tenant."""
        return None if self.key is None else self.key.limits

    def check_add(self, request: AddRequest) -> None:
        """Raise RateLimitedError if the add needs an LLM whose tokens are used up."""
        if self.services.add.asks_llm(request):
            self.check_llm_tokens()

    def check_retry(self) -> None:
        """Raise what an add that needs the LLM would raise, except for the number of adds: it was counted before."""
        self.check_stored()
        self.check_llm_tokens()

    def check_llm_tokens(self) -> None:
        """Raise RateLimitedError if a quota of the LLM's tokens is used up."""
        if self.key is not None and self.meter is not None:
            self.meter.check(self.key, UsageKind.LLM_TOKENS)

    @contextmanager
    def counting_updates(self, number: int = 1) -> Iterator[None]:
        """While it is open, so many memories are changed at most; those that were count, also if something is raised.

        Each change stores a whole version, whatever its request's size. Raises RateLimitedError if a quota is used up.
        """
        if self.key is None or self.meter is None:
            yield
            return
        taken = self.meter.take(self.key, UsageKind.UPDATES, number)
        effects = current_request_effects()
        before = effects.updates
        try:
            yield
        finally:
            self.meter.settle_part(taken, effects.updates - before)

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """While it is open, a memory comes back: it counts as an update, and there must be room for it.

        Raises RateLimitedError and StoredQuotaError.
        """
        self.check_stored()
        with self.counting_updates():
            yield

    def check_stored(self) -> None:
        """Raise StoredQuotaError if a quota of stored memories is full; for what stores memories and is no add."""
        if self.key is not None and self.meter is not None:
            self.meter.check(self.key, None)

    @property
    def tenant(self) -> str:
        """The tenant whose memories this caller may read and change."""
        assert self.key is not None, "an open route has no tenant"
        return self.key.tenant

    @property
    def asker(self) -> str:
        """Who asks for page after page: the id of the key, or "" on an open route."""
        return self.key.id if self.key is not None else ""

    @property
    def source_key(self) -> str | None:
        """The id of the key, which is stored with what it writes; it reveals nothing about the key."""
        return self.key.id if self.key is not None else None

    @property
    def admin(self) -> bool:
        """Whether the key is an administrator's, which may read or delete everything of the tenant at once."""
        return self.key is not None and self.key.admin

    @property
    def operator(self) -> bool:
        """Whether it is an administrator of the deployment, who may see how it is made up."""
        return self.key is not None and self.key.admin and self.key_limits is None and self.key.tenant == OPERATOR


async def _current(request: Request) -> Caller:
    return get_caller(request.scope)


def get_caller(scope: Scope) -> Caller:
    """The caller that authentication found."""
    caller: Caller = scope["state"][_STATE]
    return caller


def key_of(scope: Scope) -> ApiKey | None:
    """The key of the caller; None before authentication and on routes that need no key."""
    caller: Caller | None = scope["state"].get(_STATE)
    return None if caller is None else caller.key


def set_caller(scope: Scope, caller: Caller) -> None:
    """Store the caller in the request's state, for what runs after authentication."""
    scope.setdefault("state", {})[_STATE] = caller


def set_idempotency_key(scope: Scope, name: str) -> None:
    """Store the name under which the client may repeat this request."""
    scope["state"][_STATE] = replace(get_caller(scope), idempotency_name=name)


CurrentCaller = Annotated[Caller, Depends(_current)]
