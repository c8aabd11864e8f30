"""Authorizers and API keys of routes, and CORS of APIs."""

from __future__ import annotations

import re
from typing import Any

from local.emulator.specs import AuthorizerSpec, CorsSpec, NotHereError, OutsideAuthSpec
from local.emulator.template.document import Document, mapping
from local.emulator.template.unresolved import Unresolved, reasons_in

#: The authorizer that every API has without declaring it.
_IAM = "AWS_IAM"
#: Seconds for which a REST API keeps an authorizer's answer when the template does not say.
REST_TTL = 300
#: Methods that a REST API's OPTIONS names where a route takes any.
_ALL_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

Resources = dict[str, dict[str, Any]]


def authorizer_of(
    document: Document, resources: Resources, function: str, api: str, route_auth: dict[str, Any], *, method: str = ""
) -> AuthorizerSpec | OutsideAuthSpec | None:
    """Return the authorizer of a route: its own, else the API's default, unless it says NONE."""
    api_auth = api_auth_of(resources, api)
    default = api_auth.get("DefaultAuthorizer")
    if method == "OPTIONS" and api_auth.get("AddDefaultAuthorizerToCorsPreflight", True) is False:
        default = None
    name = route_auth.get("Authorizer") or default
    for reason in reasons_in(name):
        raise NotHereError(f"its authorizer is not known: {reason}")
    if name in {None, "NONE"}:
        return None
    if name == _IAM:
        return OutsideAuthSpec(_IAM, "iam")
    declared = mapping(api_auth.get("Authorizers"), f"Auth.Authorizers of {api}").get(name)
    if isinstance(declared, Unresolved):
        raise NotHereError(f"authorizer {name}: {declared}")
    if not isinstance(declared, dict):
        raise document.error(function, f"authorizer {name} is not declared on {api}")
    identity = declared.get("Identity") or {}
    if "FunctionArn" not in declared:
        return _outside(document, api, str(name), declared, identity)
    if resources.get(api, {}).get("Type") == "AWS::Serverless::Api":
        return _rest_authorizer(document, resources, api, str(name))
    sources = _sources(identity)
    return AuthorizerSpec(
        name=str(name),
        function=_function(resources, declared),
        sources=sources,
        ttl=float(identity.get("ReauthorizeEvery", 0)) if sources else 0.0,
        payload_version=str(declared.get("AuthorizerPayloadFormatVersion", "1.0")),
        simple=bool(declared.get("EnableSimpleResponses", False)),
    )


def api_auth_of(resources: Resources, api: str) -> dict[str, Any]:
    """Return what an API says of authorizers and keys."""
    return mapping((resources.get(api, {}).get("Properties") or {}).get("Auth"), f"Auth of {api}")


def needs_key(resources: Resources, api: str, route_auth: dict[str, Any], method: str) -> bool:
    """Return whether a route of a REST API needs an API key."""
    api_auth = api_auth_of(resources, api)
    default = bool(api_auth.get("ApiKeyRequired", False))
    if method == "OPTIONS" and api_auth.get("AddApiKeyRequiredToCorsPreflight", True) is False:
        default = False
    return bool(route_auth.get("ApiKeyRequired", default))


def _rest_authorizer(document: Document, resources: Resources, api: str, name: str) -> AuthorizerSpec:
    declared = api_auth_of(resources, api)["Authorizers"][name]
    identity = declared.get("Identity") or {}
    ttl = float(identity.get("ReauthorizeEvery", REST_TTL))
    function = _function(resources, declared)
    if declared.get("FunctionPayloadType", "TOKEN") == "REQUEST":
        sources = _sources(identity)
        return AuthorizerSpec(name, function, sources, ttl if sources else 0.0)
    pattern = str(identity.get("ValidationExpression") or "")
    try:
        re.compile(pattern)
    except re.error as error:
        raise document.error(api, f"authorizer {name}: ValidationExpression: {error}") from error
    header = str(identity.get("Header") or "Authorization").lower()
    return AuthorizerSpec(name, function, (("header", header),), ttl, token=True, pattern=pattern)


def _outside(
    document: Document, api: str, name: str, declared: dict[str, Any], identity: dict[str, Any]
) -> OutsideAuthSpec:
    if "UserPoolArn" in declared:
        return OutsideAuthSpec(name, "cognito", ("header", str(identity.get("Header") or "Authorization").lower()))
    if not {"JwtConfiguration", "OpenIdConnectUrl"} & set(declared):
        raise document.error(api, f"authorizer {name} has none of FunctionArn, UserPoolArn and JwtConfiguration")
    source = str(declared.get("IdentitySource") or "$request.header.Authorization").removeprefix("$request.")
    kind, _, key = source.partition(".")
    return OutsideAuthSpec(name, "jwt", ("query", key) if kind == "querystring" else ("header", key.lower()))


def _sources(identity: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    kinds = (("Headers", "header"), ("QueryStrings", "query"), ("Context", "context"), ("StageVariables", "stage"))
    return tuple(
        (kind, str(name).lower() if kind == "header" else str(name))
        for key, kind in kinds
        for name in identity.get(key) or []
    )


def _function(resources: Resources, declared: dict[str, Any]) -> str:
    given = declared["FunctionArn"]
    return str(given) if reasons_in(given) else logical_id(resources, str(given).rsplit(":", 1)[-1])


def logical_id(resources: Resources, physical: str) -> str:
    """Return the logical id of the function that has this name."""
    for name, resource in resources.items():
        if resource["Properties"].get("FunctionName") == physical:
            return name
    return physical


def cors_of(properties: dict[str, Any]) -> CorsSpec | None:
    """Return the CORS settings of an HTTP API; `true` allows everything."""
    given = properties.get("CorsConfiguration")
    if not given:
        return None
    if given is True:
        return CorsSpec(origins=("*",), methods=("*",), headers=("*",))
    return CorsSpec(
        origins=_listed(given.get("AllowOrigins")),
        methods=_listed(given.get("AllowMethods")),
        headers=_listed(given.get("AllowHeaders")),
        expose=_listed(given.get("ExposeHeaders")),
        credentials=bool(given.get("AllowCredentials", False)),
        max_age=None if given.get("MaxAge") is None else int(given["MaxAge"]),
    )


def _listed(value: Any) -> tuple[str, ...]:
    """Return a list of texts; one text is a list of one."""
    return (value,) if isinstance(value, str) else tuple(map(str, value or ()))


def mock_headers(document: Document, api: str, cors: Any, methods: set[str]) -> tuple[tuple[str, str], ...]:
    """Return the headers with which a REST API answers OPTIONS of a path that has these methods."""
    given = {"AllowOrigin": cors} if isinstance(cors, str) else cors
    if not isinstance(given, dict):
        raise document.error(api, "Cors must be an origin such as \"'*'\" or a mapping with AllowOrigin")
    named = _ALL_METHODS if "ANY" in methods else tuple(sorted({*methods, "OPTIONS"}))
    headers = {
        "content-type": "application/json",
        "access-control-allow-origin": given.get("AllowOrigin"),
        "access-control-allow-headers": given.get("AllowHeaders"),
        "access-control-allow-methods": given.get("AllowMethods") or ",".join(named),
        "access-control-max-age": given.get("MaxAge"),
        "access-control-allow-credentials": "true" if given.get("AllowCredentials") is True else None,
    }
    # A static value of a mapping stands in quotes of its own.
    return tuple((name, str(value).strip("'")) for name, value in headers.items() if value not in {None, ""})
