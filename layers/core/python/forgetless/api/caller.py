"""Caller: who asks, and the use cases that answer; every endpoint receives one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends
from starlette.requests import Request
from starlette.types import Scope

from forgetless.domain.errors import ForbiddenError
from forgetless.domain.keys import ApiKey
from forgetless.service.access.limited_ledger import NOT_ITS_WORK

if TYPE_CHECKING:
    from forgetless.service.access.rate_limit import RateLimiter
    from forgetless.service.request_services import RequestServices
    from forgetless.service.services import Services

__all__ = ["OPEN_PATHS", "Caller", "CurrentCaller", "get_caller", "key_of", "set_caller", "set_idempotency_key"]

#: Paths that answer without a key (GET and HEAD).
OPEN_PATHS = frozenset({"/", "/health", "/docs", "/redoc", "/openapi.json"})

#: Where the request's state keeps it.
_STATE = "caller"


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's caller; `key` is None only on the routes that are open."""

    build_services: Callable[[], Services]
    key: ApiKey | None
    #: Names the request among the tenant's (method, path, Idempotency-Key and body), when the client gave a key.
    idempotency_name: str | None = None
    #: What counts the requests of keys; None where they are not limited.
    rates: RateLimiter | None = None

    @property
    def services(self) -> RequestServices:
        """The use cases of requests, for a limited key within its limits.

        The first call of an environment builds them.
        """
        services = self.build_services()
        return services.limited_to(self.key.users) if self.key is not None and self.key.users else services

    @property
    def all_services(self) -> Services:
        """The use cases of operators too, which concern the whole tenant; raises ForbiddenError for a limited key."""
        if self.key is not None and self.key.users:
            raise ForbiddenError(NOT_ITS_WORK)
        return self.build_services()

    @property
    def tenant(self) -> str:
        """Whose memories this caller may touch."""
        assert self.key is not None, "an open route has no tenant"
        return self.key.tenant

    @property
    def admin(self) -> bool:
        """Whether the key may touch all of the tenant at once."""
        return self.key is not None and self.key.admin


async def _current(request: Request) -> Caller:
    return get_caller(request.scope)


def get_caller(scope: Scope) -> Caller:
    """The caller that authentication found."""
    caller: Caller = scope["state"][_STATE]
    return caller


def key_of(scope: Scope) -> ApiKey | None:
    """The key of the caller; None before authentication, and where none is needed."""
    caller: Caller | None = scope["state"].get(_STATE)
    return None if caller is None else caller.key


def set_caller(scope: Scope, caller: Caller) -> None:
    """Remember the caller for what runs after authentication."""
    scope.setdefault("state", {})[_STATE] = caller


def set_idempotency_key(scope: Scope, name: str) -> None:
    """Remember that this request may come again under the same name."""
    scope["state"][_STATE] = replace(get_caller(scope), idempotency_name=name)


CurrentCaller = Annotated[Caller, Depends(_current)]
