"""A template as YAML: the short forms of CloudFormation, and the line of every resource."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from local.emulator.specs import NotHereError, TemplateError
from local.emulator.template.loops import LOOP, unrolled
from local.emulator.template.unresolved import Unresolved

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
    """The parsed template with the line (from 1) of each resource, parameter and condition."""

    path: Path
    content: dict[str, Any]
    lines: dict[str, int]
    #: What was left out while it was read.
    warnings: tuple[str, ...] = ()

    def section(self, name: str) -> dict[str, Any]:
        """Return a section of the template, empty when it is absent."""
        value = self.content.get(name) or {}
        if not isinstance(value, dict):
            raise TemplateError(f"{self.path}: section {name} must be a mapping")
        return value

    def told(self, name: str, text: str) -> str:
        """Return a line about a resource, parameter or condition, with its place in the file."""
        return f"{self.path}:{self.lines.get(name, 1)}: {name}: {text}"

    def error(self, name: str, problem: str) -> TemplateError:
        """Return an error that names the resource and its line."""
        return TemplateError(self.told(name, problem))

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
        NotHereError: it cannot be known here; `what` names it.
        TemplateError: it is something else.
    """
    if isinstance(value, Unresolved):
        raise NotHereError(f"{what}: {value}")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TemplateError(f"{what} must be a mapping of names to values, not {_SHAPES.get(type(value), 'a value')}")
    return value


_SHAPES: dict[type, str] = {list: "a list", str: "a text"}


def read_document(path: Path) -> Document:
    """Read a YAML (or JSON) template.

    Raises:
        TemplateError: the file is missing, is no text or YAML, has a name twice, or is no mapping with Resources.
    """
    text = _text(path)
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        lines = _checked_lines(path, root)
        content = None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        raise TemplateError(f"{path}:{line}: not valid YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError) as error:
        problem = "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise TemplateError(f"{path}: not valid YAML: {problem}") from error
    if not isinstance(content, dict) or not isinstance(content.get("Resources"), dict):
        raise TemplateError(f"{path}: a template needs a mapping named Resources")
    document = Document(path, content, lines)
    try:
        resources, left_out = unrolled(content["Resources"])
    except TemplateError as error:
        raise TemplateError(f"{path}: {error}") from error
    for name in content["Resources"]:
        if str(name).startswith(LOOP):
            made, _ = unrolled({name: content["Resources"][name]})
            lines.update(dict.fromkeys(made, lines.get(str(name), 1)))
    warnings = tuple(document.told(name, reason) for name, reason in left_out.items())
    return replace(document, content={**content, "Resources": resources}, warnings=warnings)


def _text(path: Path) -> str:
    try:
        given = path.read_bytes()
    except OSError as error:
        raise TemplateError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return given.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = given.count(b"\n", 0, error.start) + 1
        problem = f"the byte 0x{given[error.start]:02x} is not UTF-8: save the file in that encoding"
        raise TemplateError(f"{path}:{line}: {problem}") from error


def _checked_lines(path: Path, root: yaml.Node | None) -> dict[str, int]:
    """Return the line of each name in a section; refuse a name that is there twice, and an anchor in itself."""
    lines: dict[str, int] = {}
    sections = _pairs(path, root)
    for section in sorted(sections, key=lambda name: name != "Resources"):
        names = _pairs(path, sections[section][1], section)
        for name, (line, _) in names.items():
            lines.setdefault(name, line)
        lines.setdefault(section, sections[section][0])
        _refuse_circles(path, [(name, node) for name, (_, node) in names.items()])
    return lines


def _pairs(path: Path, node: yaml.Node | None, within: str = "the template") -> dict[str, tuple[int, yaml.Node]]:
    found: dict[str, tuple[int, yaml.Node]] = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        name, line = str(key.value), key.start_mark.line + 1
        if name in found and name != "<<":
            raise TemplateError(f"{path}:{line}: {name}: {within} has it in line {found[name][0]} too: rename one")
        found[name] = (line, value)
    return found


def _refuse_circles(path: Path, named: list[tuple[str, yaml.Node]]) -> None:
    """Refuse an anchor that stands within the node it names: what it describes would have no end."""
    done: set[int] = set()
    for name, top in named:
        above: list[int] = []
        # A node comes a second time, as None, when all below it was seen.
        left: list[yaml.Node | None] = [top]
        while left:
            node = left.pop()
            if node is None:
                done.add(above.pop())
            elif id(node) in above:
                line = node.start_mark.line + 1
                raise TemplateError(f"{path}:{line}: {name}: it holds the anchor of itself: write out what is meant")
            elif id(node) not in done and isinstance(node, yaml.CollectionNode):
                above.append(id(node))
                left += [None, *_below(node)]


def _below(node: yaml.CollectionNode) -> list[yaml.Node]:
    return [value for _, value in node.value] if isinstance(node, yaml.MappingNode) else list(node.value)
