"""A template as YAML: the short forms of CloudFormation, and the line of every resource."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local.emulator.specs import TemplateError
from local.emulator.template.loops import unrolled

# libyaml's reader, where the wheel has it, is ten times as fast.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc] # which of the two is known when it runs
    """A safe loader that knows `!Ref` and the other short forms."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix in {"Ref", "Condition"}:
        return {suffix: value}
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def _date(loader: _Loader, node: yaml.ScalarNode) -> str:
    """Read a date (AWSTemplateFormatVersion, the Version of a policy) as text."""
    return str(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _date)


@dataclass(frozen=True, slots=True)
class Document:
    """The parsed template with the line (from 1) of each resource."""

    path: Path
    content: dict[str, Any]
    lines: dict[str, int]

    def section(self, name: str) -> dict[str, Any]:
        """Return a section of the template, empty when it is absent."""
        value = self.content.get(name) or {}
        if not isinstance(value, dict):
            raise TemplateError(f"{self.path}: section {name} must be a mapping")
        return value

    def error(self, resource: str, problem: str) -> TemplateError:
        """Return an error that names the resource and its line."""
        return TemplateError(f"{self.path}:{self.lines.get(resource, 1)}: {resource}: {problem}")

    @contextlib.contextmanager
    def reading(self, resource: str) -> Iterator[None]:
        """Turn errors from the unexpected form of a resource into one that names the resource and its line."""
        try:
            yield
        except TemplateError as error:
            text = str(error)
            raise (error if text.startswith(f"{self.path}:") else self.error(resource, text)) from error
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            problem = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise self.error(resource, f"a property has an unexpected form: {problem}") from error


def mapping(value: Any, what: str) -> dict[str, Any]:
    """Return a mapping of the template; None is an empty one.

    Raises:
        TemplateError: it is something else; `what` names it.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TemplateError(f"{what} must be a mapping of names to values, not {_SHAPES.get(type(value), 'a value')}")
    return value


_SHAPES: dict[type, str] = {list: "a list", str: "a text"}


def read_document(path: Path) -> Document:
    """Read a YAML (or JSON) template.

    Raises:
        TemplateError: the file is missing, is no mapping with Resources, or has a loop of an unknown form.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TemplateError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        content = None if root is None else loader.construct_document(root)
    except yaml.YAMLError as error:
        raise TemplateError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("Resources"), dict):
        raise TemplateError(f"{path}: a template needs a mapping named Resources")
    try:
        resources = unrolled(content["Resources"])
    except TemplateError as error:
        raise TemplateError(f"{path}: {error}") from error
    return Document(path=path, content={**content, "Resources": resources}, lines=_lines(root))


def _lines(root: yaml.Node | None) -> dict[str, int]:
    for key, value in getattr(root, "value", []):
        if key.value == "Resources" and isinstance(value, yaml.MappingNode):
            return {name.value: name.start_mark.line + 1 for name, _ in value.value}
    return {}
