"""The body of a request as FastAPI gets it: read, its values counted, and validated against the route's model.

FastAPI does all of this on the event loop, where whoever sends what takes long holds up everybody. Here it waits for a
turn of its tenant unless it takes little, and the most expensive bodies are judged one at a time.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope

from forgetless.api.caller import get_caller
from forgetless.api.routing import Runner, run_inline
from forgetless.api.value_count import is_light, json_work, read_counted
from forgetless.domain.errors import ForgetlessError
from forgetless.domain.limits import RequestLimits

__all__ = ["JudgedBody"]


class JudgedBody(Request):
    """A request whose JSON is an object of `model`, or what that is if the route takes a body or none."""

    def __init__(self, scope: Scope, receive: Receive, *, model: Any, run: Runner) -> None:
        super().__init__(scope, receive)
        self._model = model
        self._run = run
        #: Why `json` has refused the body.
        self.refusal: Exception | None = None

    async def json(self) -> Any:
        """The object, which FastAPI takes as it is.

        Raises HTTPException for a body that is refused: while it reads a body, FastAPI turns every other error into
        one that says nothing.
        """
        body = await self.body()
        judge = partial(_judged, body, self._model, get_caller(self.scope).limits)
        try:
            return await (run_inline if is_light(body) else self._run)(judge)
        except (ForgetlessError, RequestValidationError) as error:
            self.refusal = error
            raise HTTPException(400) from None


def _judged(body: bytes, model: Any, limits: RequestLimits) -> Any:
    with json_work(body):
        value = read_counted(body)
        if value is None:  # FastAPI says what is missing, or takes the default
            return None
        try:
            return _reader(model).validate_python(value, from_attributes=True, context=limits)
        except ValidationError as error:
            errors = error.errors(include_url=False)
            raise RequestValidationError(
                [{**one, "loc": ("body", *one["loc"])} for one in errors], body=value
            ) from None


@cache
def _reader(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)
