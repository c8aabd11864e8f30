"""Routes of an API's own OpenAPI document (`DefinitionBody`): its integrations with functions, and mocks of OPTIONS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from local.emulator.specs import AuthorizerSpec, NotHereError, OutsideAuthSpec, RouteSpec
from local.emulator.template import auth
from local.emulator.template.auth import Resources
from local.emulator.template.document import Document, mapping
from local.emulator.template.unresolved import Unresolved, reasons_in

#: Operations of a path, as an OpenAPI document names them, and the methods of routes.
_METHODS = {name: name.upper() for name in ("get", "put", "post", "delete", "options", "head", "patch")} | {
    "x-amazon-apigateway-any-method": "ANY"
}
#: The ARN of a function, as it stands in the URI of an invocation or alone, with or without an alias.
_FUNCTION = re.compile(r"(?:^|functions/)arn:[^/]*?:function:([^/:]+)(?::[^/]*)?(?:/invocations)?$")
_HEADER = "method.response.header."
#: Seconds that a REST and an HTTP API wait for a function.
_LIMITS = {"Api": 29.0, "HttpApi": 30.0}


class Body:
    """The document of one API; `kind` is the type of the API's events."""

    def __init__(self, document: Document, resources: Resources, api: str, kind: str) -> None:
        self._document, self._resources, self._api, self._kind = document, resources, api, kind
        body = (resources.get(api, {}).get("Properties") or {}).get("DefinitionBody")
        self._body: dict[str, Any] = body if isinstance(body, dict) else {}
        unknown = next((part for part in (body, self._body.get("paths")) if isinstance(part, Unresolved)), None)
        #: Why the document, or a part of it, has no routes here.
        self.problems = [f"DefinitionBody is not read: {unknown.reason}"] if unknown else []

    @property
    def binary(self) -> list[str]:
        """Return the types of bodies that are binary."""
        return list(self._body.get("x-amazon-apigateway-binary-media-types") or ())

    def routes(self, given: set[tuple[str, str]]) -> list[RouteSpec]:
        """Return the routes besides those `given` by events; what is not served here is among the problems."""
        routes = []
        for path, method, operation in self._operations():
            if (method, path) in given:
                continue
            try:
                routes.append(self._route(path, method, operation))
            except NotHereError as error:
                self.problems.append(f"DefinitionBody: {method} {path} is left out: {error}")
        return routes

    def _operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        paths = self._body.get("paths")
        for path, item in (paths if isinstance(paths, dict) else {}).items():
            for name, operation in (item if isinstance(item, dict) else {}).items():
                if name in _METHODS and isinstance(operation, dict):
                    yield str(path), _METHODS[name], operation

    def _route(self, path: str, method: str, operation: dict[str, Any]) -> RouteSpec:
        for reason in reasons_in(operation):
            raise NotHereError(reason)
        integration = operation.get("x-amazon-apigateway-integration")
        if not isinstance(integration, dict):
            raise NotHereError("it has no integration")
        kind = str(integration.get("type")).lower()
        mock = _mock(integration) if kind == "mock" and method == "OPTIONS" and self._kind == "Api" else None
        if kind != "aws_proxy" and mock is None:
            raise NotHereError(f"an integration of type {kind} is not emulated")
        authorizer, needs_key = self._security(operation, method)
        return RouteSpec(
            method=method,
            path="$default" if path == "/$default" else path.rstrip("/") or "/",
            function=self._function(integration.get("uri")) if mock is None else "",
            authorizer=authorizer,
            time_limit=float(integration.get("timeoutInMillis", _LIMITS[self._kind] * 1000)) / 1000,
            payload_version="1.0" if self._kind == "Api" else str(integration.get("payloadFormatVersion", "1.0")),
            needs_key=needs_key and self._kind == "Api",
            mock=mock,
        )

    def _function(self, uri: Any) -> str:
        found = _FUNCTION.search(str(uri))
        if found is None:
            raise NotHereError(f"{uri} is no function")
        name = auth.logical_id(self._resources, found[1])
        if name not in self._resources:
            raise NotHereError(f"{name} is no function of this template")
        return name

    def _security(self, operation: dict[str, Any], method: str) -> tuple[AuthorizerSpec | OutsideAuthSpec | None, bool]:
        """Return the authorizer of a route, and whether it needs an API key; the API's default counts where none is."""
        listed = operation.get("security", self._body.get("security"))
        names = [name for one in listed or () for name in (one if isinstance(one, dict) else {})]
        found: AuthorizerSpec | OutsideAuthSpec | None = None
        needs_key = auth.needs_key(self._resources, self._api, {}, method)
        for name in names:
            scheme = self._scheme(str(name))
            if scheme is not None and _is_key(scheme):
                needs_key = True
            else:
                found = self._declared(str(name), scheme)
        if found is None:
            found = auth.authorizer_of(self._document, self._resources, self._api, self._api, {}, method=method)
        return found, needs_key

    def _scheme(self, name: str) -> dict[str, Any] | None:
        components = self._body.get("components") or {}
        schemes = self._body.get("securityDefinitions") or components.get("securitySchemes") or {}
        scheme = schemes.get(name)
        return scheme if isinstance(scheme, dict) else None

    def _declared(self, name: str, scheme: dict[str, Any] | None) -> AuthorizerSpec | OutsideAuthSpec | None:
        if scheme is None:
            return auth.authorizer_of(self._document, self._resources, self._api, self._api, {"Authorizer": name})
        if str(scheme.get("x-amazon-apigateway-authtype")).lower() == "awssigv4":
            return OutsideAuthSpec(name, "iam")
        for reason in reasons_in(scheme):
            raise NotHereError(reason)
        given = mapping(scheme.get("x-amazon-apigateway-authorizer"), "x-amazon-apigateway-authorizer")
        kind = str(given.get("type")).lower()
        header = ("header", str(scheme.get("name") or "Authorization").lower())
        if kind == "cognito_user_pools":
            return OutsideAuthSpec(name, "cognito", header)
        if kind == "jwt":
            return OutsideAuthSpec(name, "jwt")
        if kind != "token" or self._kind != "Api":
            raise NotHereError(f"its authorizer {name} of type {kind} is not emulated")
        ttl = float(given.get("authorizerResultTtlInSeconds", auth.REST_TTL))
        pattern = str(given.get("identityValidationExpression") or "")
        function = self._function(given.get("authorizerUri"))
        return AuthorizerSpec(name, function, (header,), ttl, token=True, pattern=pattern)


def _is_key(scheme: dict[str, Any]) -> bool:
    return str(scheme.get("name")).lower() == "x-api-key" and "x-amazon-apigateway-authtype" not in scheme


def _mock(integration: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the headers of a mock that answers 200."""
    responses: dict[str, dict[str, Any]] = mapping(integration.get("responses"), "responses")
    response = responses.get("default") or next(iter(responses.values()), {})
    if str(response.get("statusCode", 200)) != "200":
        raise NotHereError("a mock with another status than 200 is not emulated")
    parameters = response.get("responseParameters") or {}
    named = {str(key).removeprefix(_HEADER).lower(): str(value).strip("'") for key, value in parameters.items()}
    return (("content-type", "application/json"), *named.items())
