"""Which route takes a request: full matches, then greedy ones, then $default; a verb before ANY."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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


def _rank(route: RouteSpec, parts: list[str]) -> tuple[int, int, int]:
    """Sort full patterns before greedy ones, longer and more literal ones first, verbs before ANY."""
    greedy = parts[-1].endswith("+}")
    literal = sum(not part.startswith("{") for part in parts)
    return (int(greedy), -literal, int(route.method == "ANY"))


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
