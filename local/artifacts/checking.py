"""Judges a build: over the limit or for the wrong machine fails; missing bytecode is said."""

from __future__ import annotations

from collections.abc import Iterator

from local.artifacts.reading import LIMIT_BYTES, Build

__all__ = ["faults", "lines"]

_MB = 1024 * 1024


def lines(build: Build) -> Iterator[str]:
    """The sizes, one line each."""
    for name, layer in build.layers.items():
        architectures = ", ".join(sorted(layer.architectures())) or "any machine"
        yield f"{name}: {layer.bytes() / _MB:.1f} MB unzipped, {layer.bytecode()} modules compiled, {architectures}"
    for name in build.functions:
        yield f"{name}: {build.unzipped(name) / _MB:.1f} MB of {LIMIT_BYTES // _MB} MB with its layers"


def faults(build: Build, architecture: str, limit: int = LIMIT_BYTES) -> Iterator[str]:
    """Why it must not be deployed; nothing when it may."""
    for name in build.functions:
        if (size := build.unzipped(name)) > limit:
            yield f"{name} unpacks to {size / _MB:.1f} MB with its layers; Lambda allows {limit / _MB:.0f} MB"
    for name, layer in build.layers.items():
        for found, files in layer.architectures().items():
            if found != architecture:
                yield f"{name} is for {found}, not {architecture}: {min(files)} and {len(files) - 1} more"
