"""Tests of the compose files and images that need a Docker engine; `make test-docker` runs them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]
COMPOSE = Path(__file__).parents[2] / "local" / "compose"
IMAGES = {"milvus": "forgetless-milvus-lite", "app": "forgetless-app", "embedder": "forgetless-embedder"}


def config(infrastructure: str) -> dict[str, dict[str, object]]:
    files = [part for name in (infrastructure, "models.yaml", "app.yaml") for part in ("--file", str(COMPOSE / name))]
    command = ["docker", "compose", *files, "config", "--format", "json"]
    variables = {"FORGETLESS_API_KEY": "x", "PATH": "/usr/local/bin:/usr/bin:/bin"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    services: dict[str, dict[str, object]] = json.loads(done.stdout)["services"]
    return services


@pytest.mark.parametrize("infrastructure", ["infrastructure.yaml", "infrastructure-lite.yaml"])
def test_the_files_fit_together_and_every_service_that_stays_restarts(infrastructure: str) -> None:
    services = config(infrastructure)
    assert {"milvus", "embedder", "balancer", "app", "worker"} <= set(services)
    assert {name for name, service in services.items() if service.get("restart") == "no"} == {"key", "stores"}


@pytest.fixture(scope="module")
def built() -> None:
    subprocess.run(["sh", str(COMPOSE / "compose.sh"), "build"], check=True)


@pytest.mark.parametrize("image", list(IMAGES.values()))
@pytest.mark.usefixtures("built")
def test_an_image_has_a_health_check_and_no_root(image: str) -> None:
    told = subprocess.run(["docker", "inspect", image], capture_output=True, text=True, check=True).stdout
    settings = json.loads(told)[0]["Config"]
    assert settings["User"] == "10001:10001"
    assert settings["Healthcheck"]["Test"]


@pytest.mark.usefixtures("built")
def test_the_command_line_has_its_own_name_in_the_image() -> None:
    command = ["docker", "run", "--rm", "--workdir", "/", "--entrypoint", "forgetless", IMAGES["app"], "keys", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
