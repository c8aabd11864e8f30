"""Authorizers and CORS of HTTP APIs."""

from __future__ import annotations

from typing import Any

from local.emulator.specs import AuthorizerSpec, CorsSpec
from local.emulator.template.document import Document


def authorizer_of(
    document: Document,
    resources: dict[str, dict[str, Any]],
    function: str,
    api: str,
    route_auth: dict[str, Any],
) -> AuthorizerSpec | None:
    """Return the authorizer of a route: its own, else the API's default, unless it says NONE."""
    api_auth = (resources.get(api, {}).get("Properties") or {}).get("Auth") or {}
    name = route_auth.get("Authorizer", api_auth.get("DefaultAuthorizer"))
    if name in {None, "NONE"}:
        return None
    declared = (api_auth.get("Authorizers") or {}).get(name)
    if declared is None:
        raise document.error(function, f"authorizer {name} is not declared on {api}")
    if "FunctionArn" not in declared:
        raise document.error(api, f"authorizer {name}: only Lambda authorizers (FunctionArn) are emulated")
    target = str(declared["FunctionArn"]).rsplit(":", 1)[-1]
    identity = declared.get("Identity") or {}
    sources = _sources(identity)
    return AuthorizerSpec(
        name=str(name),
        function=logical_id(resources, target),
        sources=sources,
        ttl=float(identity.get("ReauthorizeEvery", 0)) if sources else 0.0,
        payload_version=str(declared.get("AuthorizerPayloadFormatVersion", "1.0")),
        simple=bool(declared.get("EnableSimpleResponses", False)),
    )


def _sources(identity: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    kinds = (("Headers", "header"), ("QueryStrings", "query"), ("Context", "context"), ("StageVariables", "stage"))
    return tuple(
        (kind, str(name).lower() if kind == "header" else str(name))
        for key, kind in kinds
        for name in identity.get(key) or []
    )


def logical_id(resources: dict[str, dict[str, Any]], physical: str) -> str:
    """Return the logical id of the function that has this name."""
    for name, resource in resources.items():
        if resource["Properties"].get("FunctionName") == physical:
            return name
    return physical


def cors_of(properties: dict[str, Any]) -> CorsSpec | None:
    """Return the CORS settings of an API; `true` allows everything."""
    given = properties.get("CorsConfiguration")
    if not given:
        return None
    if given is True:
        return CorsSpec(origins=("*",), methods=("*",), headers=("*",))
    return CorsSpec(
        origins=tuple(given.get("AllowOrigins") or ()),
        methods=tuple(given.get("AllowMethods") or ()),
        headers=tuple(given.get("AllowHeaders") or ()),
        expose=tuple(given.get("ExposeHeaders") or ()),
        credentials=bool(given.get("AllowCredentials", False)),
        max_age=None if given.get("MaxAge") is None else int(given["MaxAge"]),
    )
