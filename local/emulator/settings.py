"""The settings of the emulator, read from its command line and checked."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.emulator.specs import FunctionSpec, TemplateError


@dataclass(frozen=True, slots=True)
class Overrides:
    """Variables that override the template's: for all functions, and for one by its logical id."""

    shared: dict[str, str] = field(default_factory=dict)
    functions: dict[str, dict[str, str]] = field(default_factory=dict)

    def of(self, function: str) -> dict[str, str]:
        """Return the variables of one function; its own win."""
        return {**self.shared, **self.functions.get(function, {})}


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one emulator; times are in seconds, port 0 means any free one, None none at all."""

    template: Path
    state: Path
    host: str = "127.0.0.1"
    port: int = 3000
    queue_port: int = 9324
    #: What clients of the queue must send as the session token of their credentials; nothing if it is empty.
    queue_token: str = ""
    #: Names that requests to the gateway may have in their `Host` header besides this machine's; `*` is any.
    allowed_hosts: tuple[str, ...] = ()
    #: The path under which a domain of one's own would have the API; taken off, as API Gateway does.
    mapping: str = ""
    invoke_port: int | None = None
    metrics_port: int | None = None
    #: The port of the first function's own URL; the next ones follow.
    url_port: int = 0
    #: Ports of URLs that were in use before a new start, by function.
    url_ports: Mapping[str, int] = field(default_factory=dict)
    overrides: Overrides = field(default_factory=Overrides)
    parameters: dict[str, str] = field(default_factory=dict)
    #: Parameters of samconfig.toml: those that the template does not declare are left out.
    config_parameters: dict[str, str] = field(default_factory=dict)
    max_environments: int | None = None
    max_by_function: dict[str, int] = field(default_factory=dict)
    region: str = "us-east-1"
    init_limit: float = 10.0
    wait_limit: float = 30.0
    idle_limit: float = 600.0
    grace: float = 1.0
    reload: bool = False
    functions_at: str = ""
    freeze: bool = False
    #: Whether environments are forked from a process that has initialised the function.
    fork: bool = False
    #: How long an initialisation may take from which environments are forked: SnapStart's limit.
    snapshot_limit: float = 130.0
    #: Whether moto runs beside the emulator, with the template's tables, buckets, parameters, secrets and streams.
    with_moto: bool = False
    #: Folders of installed packages that functions may import besides Lambda's own.
    packages: tuple[Path, ...] = ()
    #: Whether routes that ask for Cognito, JWT or IAM believe a token that nobody verified, or pass every token unread.
    trust_tokens: bool = False
    open_routes: bool = False

    def limit_of(self, spec: FunctionSpec) -> int:
        """Return how many environments a function may have: by its name, the template, for all, by cores."""
        named = self.max_by_function.get(spec.name)
        return named or spec.max_environments or self.max_environments or 2 * (os.cpu_count() or 1)


def read_overrides(path: Path) -> Overrides:
    """Read a file of the format of `sam local --env-vars`.

    Raises:
        TemplateError: the file is no mapping of mappings of texts.
    """
    try:
        given: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TemplateError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(given, dict) or not all(isinstance(value, dict) for value in given.values()):
        raise TemplateError(f'{path}: must be {{"Parameters": {{...}}, "FunctionName": {{"NAME": "value"}}}}')
    texts = {name: {key: str(value) for key, value in values.items()} for name, values in given.items()}
    shared = texts.pop("Parameters", {})
    return Overrides(shared=shared, functions=texts)


def read_parameters(given: list[str]) -> dict[str, str]:
    """Read `NAME=VALUE`; the value may be empty.

    Raises:
        TemplateError: something without `=`, or without a name.
    """
    for item in given:
        if not item.partition("=")[0] or "=" not in item:
            raise TemplateError(f"--parameter {item}: must be NAME=VALUE")
    return dict(item.split("=", 1) for item in given)


def read_limits(given: list[str]) -> tuple[int | None, dict[str, int]]:
    """Read `N` and `FUNCTION=N`.

    Raises:
        TemplateError: something else, or a number below 1.
    """
    everywhere, named = None, {}
    for item in given:
        name, _, number = item.rpartition("=")
        if not number.isdecimal() or int(number) < 1:
            raise TemplateError(f"--max-environments {item}: must be N or FUNCTION=N, N 1 or more")
        if name:
            named[name] = int(number)
        else:
            everywhere = int(number)
    return everywhere, named
