"""The APIs of a template: routes of functions' events, stages, CORS, and what of it is not emulated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from local.emulator.specs import (
    IMPLICIT_API,
    IMPLICIT_APIS,
    IMPLICIT_REST_API,
    ApiSpec,
    AuthorizerSpec,
    RestSpec,
    RouteSpec,
)
from local.emulator.template import auth
from local.emulator.template.auth import Resources
from local.emulator.template.document import Document
from local.emulator.template.openapi import Body

#: Seconds that each kind of API waits for a function.
_HTTP_LIMIT, _REST_LIMIT = 30.0, 29.0
#: The stage of a REST API that names none.
_STAGE = "Prod"
_ANY = {"ANY", "X-AMAZON-APIGATEWAY-ANY", "*"}


def api_named(kind: str, properties: dict[str, Any]) -> str:
    """Return the API of an event of type HttpApi or Api."""
    if kind == "Api":
        return str(properties.get("RestApiId", IMPLICIT_REST_API))
    return str(properties.get("ApiId", IMPLICIT_API))


def route_of(
    document: Document, resources: Resources, whose: tuple[str, str, str], properties: dict[str, Any]
) -> RouteSpec:
    """Return the route of an event; `whose` is its function, its type and its API."""
    function, kind, api = whose
    if kind == "Api":
        return _rest_route(document, resources, function, api, properties)
    path, method = str(properties.get("Path", "$default")), _method(properties)
    if path != "$default" and not path.startswith("/"):
        raise document.error(function, f"Path {path} must begin with /")
    limit = float(properties.get("TimeoutInMillis", _HTTP_LIMIT * 1000)) / 1000
    version = str(properties.get("PayloadFormatVersion", "2.0"))
    if version not in {"1.0", "2.0"}:
        raise document.error(function, f"PayloadFormatVersion {version} must be 1.0 or 2.0")
    return RouteSpec(
        method=method,
        path=path,
        function=function,
        authorizer=auth.authorizer_of(document, resources, function, api, properties.get("Auth") or {}),
        time_limit=min(limit, _HTTP_LIMIT),
        payload_version=version,
    )


def _rest_route(
    document: Document, resources: Resources, function: str, api: str, properties: dict[str, Any]
) -> RouteSpec:
    given = properties.get("Auth") or {}
    for key in ("Path", "Method"):
        if key not in properties:
            raise document.error(function, f"an event of type Api needs {key}")
    path, method = str(properties["Path"]), _method(properties)
    if not path.startswith("/"):
        raise document.error(function, f"Path {path} must begin with /")
    return RouteSpec(
        method=method,
        path=path.rstrip("/") or "/",
        function=function,
        authorizer=auth.authorizer_of(document, resources, function, api, given, method=method),
        time_limit=float(properties.get("TimeoutInMillis", _REST_LIMIT * 1000)) / 1000,
        payload_version="1.0",
        needs_key=auth.needs_key(resources, api, given, method),
    )


def _method(properties: dict[str, Any]) -> str:
    method = str(properties.get("Method", "ANY")).upper()
    return "ANY" if method in _ANY else method


def with_documents(resources: Resources) -> list[tuple[str, str]]:
    """Return the APIs that have an OpenAPI document, with the type of their events."""
    kinds = {kind: kind.rsplit("::", 1)[-1] for kind in IMPLICIT_APIS.values()}
    return [
        (name, kinds[resource["Type"]])
        for name, resource in resources.items()
        if resource["Type"] in kinds and "DefinitionBody" in resource["Properties"]
    ]


def api_of(
    document: Document, resources: Resources, api: tuple[str, str], routes: list[RouteSpec]
) -> tuple[ApiSpec, list[str]]:
    """Return an API with its routes, those of events before those of its OpenAPI document, and what is left out."""
    name, kind = api
    properties = resources.get(name, {}).get("Properties", {})
    body = Body(document, resources, name, kind)
    routes = [*routes, *body.routes({(route.method, route.path) for route in routes})]
    variables = properties.get("StageVariables" if kind == "HttpApi" else "Variables") or {}
    texts = {str(key): str(value) for key, value in variables.items()}
    if kind == "HttpApi":
        stage = str(properties.get("StageName") or "$default")
        return ApiSpec(name, stage, tuple(routes), auth.cors_of(properties), texts), body.problems
    types = [*(properties.get("BinaryMediaTypes") or ()), *body.binary]
    rest = RestSpec(frozenset(str(item).replace("~1", "/").lower() for item in types), _keys(resources))
    stage = str(properties.get("StageName") or _STAGE)
    mocks = _mocks(document, resources, name, routes) if properties.get("Cors") else []
    return ApiSpec(name, stage, (*routes, *mocks), None, texts, rest), body.problems


def _mocks(document: Document, resources: Resources, name: str, routes: list[RouteSpec]) -> list[RouteSpec]:
    """Return a route for OPTIONS of each path that has none; the default authorizer protects it, unless told not to."""
    cors = resources[name]["Properties"]["Cors"]
    methods: dict[str, set[str]] = {}
    for route in routes:
        methods.setdefault(route.path, set()).add(route.method)
    return [
        RouteSpec(
            method="OPTIONS",
            path=path,
            function="",
            authorizer=auth.authorizer_of(document, resources, name, name, {}, method="OPTIONS"),
            payload_version="1.0",
            needs_key=auth.needs_key(resources, name, {}, "OPTIONS"),
            mock=auth.mock_headers(document, name, cors, found),
        )
        for path, found in methods.items()
        if "OPTIONS" not in found
    ]


def _keys(resources: Resources) -> frozenset[str]:
    keys = (
        resource["Properties"].get("Value")
        for resource in resources.values()
        if resource["Type"] == "AWS::ApiGateway::ApiKey"
    )
    return frozenset(str(key) for key in keys if key)


def implicit_apis(resources: Resources) -> dict[str, str]:
    """Return the APIs that SAM makes for routes that name none, with their types."""
    functions = (one["Properties"] for one in resources.values() if one["Type"] == "AWS::Serverless::Function")
    listed = (properties.get("Events") for properties in functions)
    events = (event for events in listed if isinstance(events, dict) for event in events.values())
    used = {str(event.get("Type")) for event in events if isinstance(event, dict) and _names_no_api(event)}
    return {name: kind for name, kind in IMPLICIT_APIS.items() if kind.rsplit("::", 1)[-1] in used}


def _names_no_api(event: dict[str, Any]) -> bool:
    properties = event.get("Properties") or {}
    return isinstance(properties, dict) and not {"ApiId", "RestApiId"} & set(properties)


def api_warnings(document: Document, resources: Resources, apis: tuple[ApiSpec, ...]) -> list[str]:
    """Return what of the APIs cannot work as on AWS."""
    return [document.told(api.name, text) for api in apis for text in _problems(resources, api)]


def _problems(resources: Resources, api: ApiSpec) -> Iterator[str]:
    authorizers = {route.authorizer for route in api.routes if isinstance(route.authorizer, AuthorizerSpec)}
    for one in sorted(authorizers, key=lambda one: one.name):
        if one.function not in resources:
            yield f"authorizer {one.name}: its function is not in this template ({one.function}); its routes answer 500"
    if api.rest is not None and not api.rest.keys and any(route.needs_key for route in api.routes):
        yield "the template names no value of an API key, so any x-api-key passes"
    given = auth.api_auth_of(resources, api.name)
    yield from (f"Auth.{key} is not emulated" for key in ("ResourcePolicy", "UsagePlan") if key in given)
