"""The parameters that a project's samconfig.toml (or .yaml) gives to its template."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import yaml

from local.emulator.specs import TemplateError

__all__ = ["config_beside", "config_parameters"]

_NAMES = ("samconfig.toml", "samconfig.yaml", "samconfig.yml")
#: The commands whose parameters count; the later ones win.
_COMMANDS = ("global", "deploy", "local_start_api")
_PAIR = re.compile(r"ParameterKey=(\"[^\"]*\"|[^,\s]+),ParameterValue=(\"(?:\\.|[^\"\\])*\"|\S*)")


def config_beside(template: Path) -> Path | None:
    """Return the file beside a template, or beside the project when the template is one that `sam build` wrote."""
    folder = template.parent
    built = (folder.parent.name, folder.name) == (".aws-sam", "build")
    for place in (folder, *((folder.parent.parent,) if built else ())):
        for name in _NAMES:
            found: Path = place / name
            if found.is_file():
                return found
    return None


def config_parameters(path: Path, environment: str) -> dict[str, str]:
    """Return the parameters of one environment of the file, such as `default`.

    Raises:
        TemplateError: the file cannot be read, or its overrides have another form.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content: Any = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise TemplateError(f"{path}: cannot be read: {error}") from error
    found: dict[str, str] = {}
    for command in _COMMANDS:
        found |= _overrides(path, _inner(content, environment, command, "parameters", "parameter_overrides"))
    return found


def _inner(content: Any, *names: str) -> Any:
    for name in names:
        content = content.get(name) if isinstance(content, dict) else None
    return content


def _overrides(path: Path, given: Any) -> dict[str, str]:
    """Return overrides that are a text (`A=1 B=2`), a list of such texts, or a mapping."""
    if given is None:
        return {}
    if isinstance(given, dict):
        return {str(name): _text(value) for name, value in given.items()}
    texts = given if isinstance(given, list) else [given]
    pairs: dict[str, str] = {}
    for text in texts:
        if isinstance(text, dict):
            pairs |= _overrides(path, text)
        else:
            pairs |= _pairs(path, str(text))
    return pairs


def _pairs(path: Path, text: str) -> dict[str, str]:
    if "ParameterKey=" in text:
        return {name.strip('"'): _unquoted(value) for name, value in _PAIR.findall(text)}
    try:
        parts = [part.partition("=") for part in shlex.split(text)]
    except ValueError as error:
        raise TemplateError(f"{path}: parameter_overrides {text!r}: {error}") from error
    if not all(equals for _, equals, _ in parts):
        raise TemplateError(f"{path}: parameter_overrides {text!r}: must be NAME=VALUE, with spaces between them")
    return {name: value for name, _, value in parts}


def _unquoted(value: str) -> str:
    return value[1:-1].replace('\\"', '"') if value.startswith('"') else value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
