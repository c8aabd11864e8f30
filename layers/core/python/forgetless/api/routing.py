"""Routes as the tables of routes define them, and where endpoints run: on the event loop or in a pool of threads.

A Lambda environment serves one request at a time, so blocking its event loop delays nobody and saves a thread for
each request. Under uvicorn, the same endpoints run in a bounded pool of threads.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import anyio
import anyio.to_thread
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

from forgetless.api.caller import Caller
from forgetless.api.fair_turns import FairTurns
from forgetless.api.size_limits import check_arguments
from forgetless.domain.keys import Role
from forgetless.domain.loaded_bytes import loading
from forgetless.domain.usage import UsageKind
from forgetless.ports.trace import current_trace

__all__ = ["Route", "Runner", "endpoint_on", "note_open_page", "pool", "reading", "run_inline"]

T = TypeVar("T")

_CONVERTOR = re.compile(r":\w+(?=\})")


class _IdConvertor(Convertor[str]):
    """An identifier in a path, `{name:id}`: any text that is not empty.

    A gateway has already decoded `%2F` to a slash, so a slash may belong to the identifier.
    """

    regex = "(?s:.+)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", _IdConvertor())


class Runner(Protocol):
    """Runs a blocking call for a coroutine."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]:
        """Return the result of the call, or raise what it raises."""


@dataclass(frozen=True, slots=True)
class Route:
    """One line of a table of routes; its endpoint is a plain function that returns a response."""

    method: str
    path: str
    endpoint: Callable[..., Response]
    #: The role that a key needs. None: the role of the method, which is READ for GET and WRITE for all others.
    needs: Role | None = None
    #: Whether the answer may be stored under an Idempotency-Key. An answer that contains a secret may not.
    kept: bool = True
    #: Whether doing it twice changes no more than doing it once, although it is no GET. So must be any route whose
    #: answer says whose something is without the id of a memory: an erasure finds stored answers by these ids.
    harmless: bool = False
    #: Whether it stores nothing that a client could miss, although it is no GET and needs another role than READ.
    only_reads: bool = False
    #: What a request that succeeds counts as, besides as a request.
    counts: UsageKind | None = None

    @property
    def role(self) -> Role:
        """The role that a key needs."""
        return self.needs or (Role.READ if self.method == "GET" else Role.WRITE)

    @property
    def changes(self) -> bool:
        """Whether it stores something, so that it must not fail because others read much."""
        return not (self.method == "GET" or self.only_reads or self.role is Role.READ)

    @property
    def ignores_key(self) -> bool:
        """Whether an Idempotency-Key is ignored, because a repeat has no further effect.

        What only reads may quote memories. If its answer were stored, it would outlive them. Besides, the function for
        searches may not write to the ledger.
        """
        return self.method == "GET" or self.harmless or self.role is Role.READ

    @property
    def shown(self) -> str:
        """The path for people and logs, such as `/memories/{memory_id}`."""
        return _CONVERTOR.sub("", self.path)


#: Whether the current request is one for a page that needs no key.
_open_page: ContextVar[bool] = ContextVar("open_page", default=False)
#: Who has the turns of such requests. No tenant has this name.
_OPEN_PAGES = "\x00"


def note_open_page(*, without_key: bool) -> None:
    """Note whether the current request is one for a page that needs no key, and came without one.

    Each request says so: a server may begin one in the context of the one before on its connection.
    """
    _open_page.set(without_key)


async def run_inline(call: Callable[[], T], /) -> T:
    """Run the call on the event loop, which it blocks."""
    return call()


def pool(threads: int) -> Runner:
    """A runner that runs at most `threads` calls at once; others wait, and those of the least busy tenant the least.

    One tenant has three quarters of them at most. All pages without a key together have an eighth: a question about
    health waits while a part does not answer, and must not keep others from having their keys checked.
    """
    turns = FairTurns(threads, each=threads - threads // 4, fewer={_OPEN_PAGES: max(1, threads // 8)})
    limiter = anyio.CapacityLimiter(threads)

    async def run_in_thread(call: Callable[[], T], /) -> T:
        owner = _owner()
        await turns.take(owner)
        try:
            return await anyio.to_thread.run_sync(call, limiter=limiter)
        finally:
            turns.give(owner)

    return run_in_thread


def _owner() -> str:
    """Whose turn it is: the tenant's of the request, and nobody's ("") until its key is known."""
    trace = current_trace()
    if _open_page.get():
        return _OPEN_PAGES
    return "" if trace is None else trace.tenant


def reading(run: Runner, *, changes: bool) -> AbstractContextManager[None]:
    """What to hold while a request that `changes` something or not is served: others are served beside it, if any."""
    if changes or run is run_inline:
        return nullcontext()
    return loading(_owner())


def endpoint_on(run: Runner, route: Route) -> Callable[..., Awaitable[Response]]:
    """The endpoint in the form that FastAPI needs: a coroutine with the same parameters, executed by `run`.

    What the request contains is checked for its size before the endpoint is called.
    """
    endpoint = route.endpoint

    def checked(arguments: dict[str, Any]) -> Response:
        caller = arguments.get("caller")
        if isinstance(caller, Caller):
            check_arguments(arguments, caller.limits)
        with reading(run, changes=route.changes):
            return endpoint(**arguments)

    @functools.wraps(endpoint)
    async def serve(**arguments: Any) -> Response:
        return await run(functools.partial(checked, arguments))

    return serve
