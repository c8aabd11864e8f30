"""`python -m tests.docker.at_hand`: whether what needs Docker can be tested on this machine; one line says why not.

Exit code 0: an engine, compose and every base image are here. 3: something cannot be had, which is no fault of the
project. 1: an image is named that its registry does not have.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from local.lambda_python import VERSION

__all__ = ["CANNOT", "FAULT", "base_images", "verdict"]

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "local" / "compose"
FAULT, CANNOT = 1, 3
#: What a registry says that answers and does not have the image.
_UNKNOWN = re.compile(
    r"manifest unknown|manifest for .* not found|pull access denied|invalid reference|not found: manifest"
)
#: A value that compose takes from the environment, and what it is otherwise.
_DEFAULT = re.compile(r"\$\{(\w+):-([^}]*)\}")
_ARCHITECTURES = {"aarch64": "arm64", "arm64": "arm64"}


def base_images() -> list[str]:
    """What the tests start from: bases of Dockerfiles, images that compose runs as they are, and Lambda's."""
    found: dict[str, None] = {}
    given = _given()
    for dockerfile in (*sorted(COMPOSE.glob("*/Dockerfile")), ROOT / "embedder_container" / "Dockerfile"):
        text = dockerfile.read_text()
        for name, image in re.findall(r"^ARG (\w+_IMAGE)=(\S+)", text, re.MULTILINE):
            text = text.replace(f"${{{name}}}", given.get(name, image))
        stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?", text, re.MULTILINE)
        own = {name for _, name in stages}
        found |= dict.fromkeys(image for image, _ in stages if image not in own)
    for name in ("infrastructure-lite.yaml", "models.yaml", "app.yaml"):
        services: dict[str, dict[str, Any]] = yaml.safe_load((COMPOSE / name).read_text())["services"]
        images = [
            _DEFAULT.sub(lambda one: given.get(one[1]) or one[2], one["image"])
            for one in services.values()
            if "build" not in one
        ]
        found |= dict.fromkeys(image for image in images if not image.startswith("forgetless-"))
    architecture = _ARCHITECTURES.get(platform.machine(), "x86_64")
    return [*found, f"public.ecr.aws/lambda/python:{VERSION}-{architecture}"]


def _given() -> dict[str, str]:
    """The images that the environment names, or images.env (`make compose-digests`), as compose.sh reads them."""
    file = COMPOSE / "images.env"
    lines = file.read_text().splitlines() if file.exists() else []
    noted = dict(line.split("=", 1) for line in lines if "_IMAGE=" in line)
    return noted | {name: value for name, value in os.environ.items() if name.endswith("_IMAGE") and value}


def verdict() -> tuple[int, str]:
    """The exit code and the line."""
    if _docker("info")[0]:
        return CANNOT, "no Docker engine answers"
    if _docker("compose", "version")[0]:
        return CANNOT, "this Docker has no `docker compose`"
    for image in base_images():
        if not _docker("image", "inspect", image)[0]:
            continue
        failed, told = _docker("pull", "--quiet", image)
        if failed:
            reason = told.strip().splitlines()[-1] if told.strip() else "no reason given"
            return (FAULT if _UNKNOWN.search(told) else CANNOT), f"{image} cannot be pulled: {reason}"
    return 0, ""


def main() -> int:
    """Print the line, if there is one."""
    code, reason = verdict()
    if code:
        said = "not tested here" if code == CANNOT else "wrong"
        print(f"{said}: images, compose and sam local ({reason})", file=sys.stderr, flush=True)
    return code


def _docker(*arguments: str) -> tuple[int, str]:
    try:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return 127, "docker is not installed"
    return done.returncode, done.stderr


if __name__ == "__main__":
    sys.exit(main())
