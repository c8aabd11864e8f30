"""The systemd units and the Kubernetes manifests call commands that exist with settings that exist."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from forgetless.cli import __main__ as cli
from forgetless.runtime.settings import Settings

ROOT = Path(__file__).parents[2]
SYSTEMD = ROOT / "local" / "systemd"
MANIFESTS = sorted((ROOT / "local" / "kubernetes").glob("*/*.yaml"))
SETTINGS = {one.metadata["name"] for one in fields(Settings)}


def documents() -> Iterator[dict[str, Any]]:
    for file in MANIFESTS:
        yield from yaml.safe_load_all(file.read_text())


def containers() -> Iterator[dict[str, Any]]:
    for document in documents():
        if template := document.get("spec", {}).get("template"):
            yield from template["spec"].get("initContainers", [])
            yield from template["spec"]["containers"]


def test_every_container_of_the_image_runs_a_command_that_exists(tmp_path: Path) -> None:
    commands = [one["args"] for one in containers() if one["image"] == "forgetless-app"]
    assert len(commands) == 5
    for module, name, *arguments in commands:
        assert (module, name) == ("-m", "forgetless.cli")
        assert callable(cli._parser().parse_args(arguments).run)


def test_every_setting_in_manifests_and_units_exists() -> None:
    maps = [document["data"] for document in documents() if document["kind"] == "ConfigMap"]
    variables = {one["name"] for container in containers() for one in container.get("env", [])}
    lines = (SYSTEMD / "forgetless.env").read_text().splitlines()
    given = {line.lstrip("#").partition("=")[0] for line in lines if "=" in line}
    named = {name for one in maps for name in one} | variables | given
    ours = {name for name in named if name.startswith(("FORGETLESS_", "OPENAI_"))}
    assert len(ours) > 10
    assert ours <= SETTINGS


def test_every_container_has_limits_and_no_privileges() -> None:
    for container in containers():
        assert {"cpu", "memory"} <= set(container["resources"]["limits"]), container["name"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False


def test_nothing_but_the_api_is_reachable_for_every_pod_of_the_cluster() -> None:
    policies = [one["spec"] for one in documents() if one["kind"] == "NetworkPolicy"]
    templates = [one["spec"]["template"] for one in documents() if "template" in one.get("spec", {})]
    assert len(templates) == 7
    for template in templates:
        labels = template["metadata"]["labels"]
        rules = [rule for one in policies if _selects(one["podSelector"], labels) for rule in one["ingress"]]
        assert rules, labels
        open_to_all = {port["port"] for rule in rules if "from" not in rule for port in rule["ports"]}
        assert open_to_all <= {3000}, labels
        if "forgetless" in labels:
            shown = {port["containerPort"] for one in template["spec"]["containers"] for port in one["ports"]}
            assert shown <= {port["port"] for rule in rules for port in rule["ports"]}, "Prometheus reaches metrics"


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    named = selector.get("matchLabels", {}).items() <= labels.items()
    return named and all(labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", []))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    units = tmp_path / "etc" / "systemd" / "system"
    shutil.copytree(SYSTEMD, units)
    for program in ("opt/forgetless/.venv/bin/python", "opt/forgetless/.venv/bin/forgetless", "bin/kill"):
        file = tmp_path / program
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o755)
    # The targets that every system has.
    for target in ("multi-user", "network-online", "basic", "sysinit", "shutdown"):
        (units / f"{target}.target").write_text(f"[Unit]\nDescription={target}\n")
    names = [file.name for file in sorted(SYSTEMD.glob("*.service"))]
    assert len(names) == 3
    command = ["systemd-analyze", "verify", "--man=no", f"--root={tmp_path}", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "forgetless" not in done.stderr, done.stderr
