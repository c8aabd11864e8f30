"""Which route takes a request: full matches, then greedy ones, then $default; a verb before ANY."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote

from local.emulator.specs import RouteSpec


@dataclass(frozen=True, slots=True)
class Match:
    """The route of a request and the values of its path parameters."""

    route: RouteSpec
    parameters: dict[str, str] | None = None


class Routes:
    """The routes of an API; exact paths are found without a search."""

    def __init__(self, routes: Iterable[RouteSpec]) -> None:
        self._exact: dict[tuple[str, str], Match] = {}
        self._patterns: list[tuple[tuple[int, int, int], list[str], RouteSpec]] = []
        self._default: Match | None = None
        for route in routes:
            if route.path == "$default":
                self._default = Match(route)
            elif "{" in route.path:
                parts = route.path.split("/")[1:]
                self._patterns.append((_rank(route, parts), parts, route))
            else:
                self._exact[route.method, route.path] = Match(route)
        self._patterns.sort(key=lambda entry: entry[0])

    def find(self, method: str, path: str) -> Match | None:
        """Return the route of a request, or None."""
        match = self._exact.get((method, path)) or self._exact.get(("ANY", path))
        if match is None and self._patterns:
            match = self._find_pattern(method, path)
        return match or self._default

    def _find_pattern(self, method: str, path: str) -> Match | None:
        given = path.split("/")[1:]
        for _, parts, route in self._patterns:
            if route.method in {"ANY", method}:
                parameters = _parameters(parts, given)
                if parameters is not None:
                    return Match(route, parameters)
        return None


@dataclass(slots=True)
class _Resource:
    """A path of a REST API with its methods."""

    parts: list[str]
    methods: dict[str, RouteSpec] = field(default_factory=dict)

    def match(self, method: str, parameters: dict[str, str] | None) -> Match | None:
        route = self.methods.get(method) or self.methods.get("ANY")
        return None if route is None else Match(route, parameters)


class RestRoutes:
    """The routes of a REST API: the path is looked for first, and then its methods; no other path takes their place.

    Paths come as they were sent. A slash at their end changes nothing.
    """

    def __init__(self, routes: Iterable[RouteSpec]) -> None:
        self._exact: dict[str, _Resource] = {}
        resources: dict[str, _Resource] = {}
        for route in routes:
            path = route.path.rstrip("/") or "/"
            resource = resources.setdefault(path, _Resource(path.split("/")[1:]))
            resource.methods[route.method] = route
            if "{" not in path:
                self._exact[path] = resource
        patterns = (resource for path, resource in resources.items() if "{" in path)
        self._patterns = sorted(patterns, key=lambda resource: _order(resource.parts))

    def find(self, method: str, path: str) -> Match | None:
        """Return the route of a request, or None."""
        path = path.rstrip("/") or "/"
        exact = self._exact.get(path if "%" not in path else unquote(path))
        if exact is not None:
            return exact.match(method, None)
        given = path.split("/")[1:]
        if "%" in path:
            given = [unquote(part) for part in given]
        for resource in self._patterns:
            parameters = _parameters(resource.parts, given)
            if parameters is not None:
                return resource.match(method, parameters)
        return None


def _order(parts: list[str]) -> tuple[int, int]:
    """Sort full patterns before greedy ones, longer and more literal ones first."""
    return (int(parts[-1].endswith("+}")), -sum(not part.startswith("{") for part in parts))


def _rank(route: RouteSpec, parts: list[str]) -> tuple[int, int, int]:
    """Sort as `_order` does, and verbs before ANY."""
    return (*_order(parts), int(route.method == "ANY"))


def _parameters(parts: list[str], given: list[str]) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for position, part in enumerate(parts):
        if part.endswith("+}"):
            rest = "/".join(given[position:])
            return found | {part[1:-2]: rest} if rest else None
        if position >= len(given):
            return None
        if part.startswith("{"):
            if not given[position]:
                return None
            found[part[1:-1]] = given[position]
        elif part != given[position]:
            return None
    return found if len(parts) == len(given) else None
