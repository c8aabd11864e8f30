"""Reads and judges what `sam build` made: the size of each function with its layers, and the machine it is built for.

A function above the limit or for another machine must not be deployed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.emulator.template.document import read_document

__all__ = ["ARCHITECTURES", "LIMIT_BYTES", "Artifact", "Build", "faults", "lines", "read_build"]

#: Lambda's limit for a function's code and layers together, unzipped.
LIMIT_BYTES = 250 * 1024 * 1024

#: Lambda's names, by the machine number in an ELF header.
ARCHITECTURES = {62: "x86_64", 183: "arm64"}

_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Artifact:
    """A built folder: a layer or a function's code."""

    name: str
    folder: Path

    def bytes(self) -> int:
        """The size of all its files."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def bytecode(self, tag: str = "cpython-313") -> int:
        """How many modules have bytecode for Lambda's interpreter."""
        return sum(1 for _ in self.folder.rglob(f"*.{tag}.pyc"))

    def architectures(self) -> dict[str, set[str]]:
        """The compiled files by architecture."""
        found: dict[str, set[str]] = {}
        for path in self.folder.rglob("*.so*"):
            if path.is_file() and (architecture := _architecture(path)):
                found.setdefault(architecture, set()).add(str(path.relative_to(self.folder)))
        return found


@dataclass(frozen=True, slots=True)
class Build:
    """All layers and functions of a build, and the layers that each function uses."""

    layers: dict[str, Artifact]
    functions: dict[str, Artifact]
    carried: dict[str, tuple[str, ...]]

    def unzipped(self, function: str) -> int:
        """Return the bytes that Lambda unpacks for the function."""
        return self.functions[function].bytes() + sum(self.layers[name].bytes() for name in self.carried[function])

    def python_path(self, function: str) -> list[Path]:
        """Return the function's import path as on Lambda: its code, then its layers, the last one first."""
        layers = [self.layers[name].folder / "python" for name in reversed(self.carried[function])]
        return [self.functions[function].folder, *layers]


def read_build(folder: Path) -> Build:
    """Read a build folder of `sam build`; raises TemplateError when there is none."""
    content = read_document(folder / "template.yaml").content
    resources: dict[str, Any] = content["Resources"]
    shared = ((content.get("Globals") or {}).get("Function") or {}).get("Layers") or []
    layers, functions, carried = {}, {}, {}
    for name, resource in resources.items():
        properties = resource.get("Properties") or {}
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            layers[name] = Artifact(name, folder / properties["ContentUri"])
        if resource["Type"] == "AWS::Serverless::Function":
            functions[name] = Artifact(name, folder / properties["CodeUri"])
            carried[name] = tuple(layer["Ref"] for layer in [*shared, *(properties.get("Layers") or [])])
    return Build(layers, functions, carried)


def lines(build: Build) -> Iterator[str]:
    """Return the sizes, one line each."""
    for name, layer in build.layers.items():
        architectures = ", ".join(sorted(layer.architectures())) or "any machine"
        yield f"{name}: {layer.bytes() / _MB:.1f} MB unzipped, {layer.bytecode()} modules compiled, {architectures}"
    for name in build.functions:
        yield f"{name}: {build.unzipped(name) / _MB:.1f} MB of {LIMIT_BYTES // _MB} MB with its layers"


def faults(build: Build, architecture: str, limit: int = LIMIT_BYTES) -> Iterator[str]:
    """Return the reasons why the build must not be deployed; none when it may."""
    for name in build.functions:
        if (size := build.unzipped(name)) > limit:
            yield f"{name} unpacks to {size / _MB:.1f} MB with its layers; Lambda allows {limit / _MB:.0f} MB"
    for name, layer in build.layers.items():
        for found, files in layer.architectures().items():
            if found != architecture:
                yield f"{name} is for {found}, not {architecture}: {min(files)} and {len(files) - 1} more"


def _architecture(path: Path) -> str | None:
    with path.open("rb") as file:
        header = file.read(20)
    if header[:4] != b"\x7fELF" or len(header) < 20:
        return None
    order = "<" if header[5] == 1 else ">"
    (machine,) = struct.unpack(order + "H", header[18:20])
    return ARCHITECTURES.get(machine, f"machine {machine}")
