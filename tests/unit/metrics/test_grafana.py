"""Grafana's dashboard shows every metric by a label that it has, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from embedder.metrics import Metrics
from forgetless.ports.metrics import METRICS, MetricKind

COMPOSE = Path(__file__).parents[3] / "local" / "compose"
DASHBOARD = json.loads((COMPOSE / "monitoring" / "dashboard.json").read_text(encoding="utf-8"))
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
ENDINGS = {MetricKind.COUNTER: "_total", MetricKind.GAUGE: "", MetricKind.HISTOGRAM: "_bucket"}
SHOWN = {f"forgetless_{metric.name}{ENDINGS[metric.kind]}": metric for metric in METRICS}


def test_every_metric_is_shown_and_no_other() -> None:
    named = {name for one in EXPRESSIONS for name in re.findall(r"forgetless_\w+", one)}
    assert named == set(SHOWN)


def test_figures_are_grouped_by_labels_that_they_have() -> None:
    for one in EXPRESSIONS:
        names, groups = re.findall(r"forgetless_\w+", one), re.findall(r"by \((\w+)\)", one)
        if names and "le" not in groups:
            assert {(group,) for group in groups} <= {tuple(SHOWN[name].labels) for name in names}, one


def test_alerts_read_metrics_and_label_values_that_exist() -> None:
    (group,) = yaml.safe_load((COMPOSE / "monitoring" / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    rules = [rule["expr"] for rule in group["rules"]]
    named = [(one, name) for one in rules for name in re.findall(r"forgetless_\w+", one)]
    assert len(named) == len(rules) - 1, "one is about whether there are metrics at all"
    for one, name in named:
        for label, value in re.findall(r'(\w+)!?="(\w+)"', one):
            assert value in SHOWN[name].labels[label], one


def test_every_metric_of_the_embedder_exists() -> None:
    text = Metrics().render().decode()
    named = {name for one in EXPRESSIONS for name in re.findall(r"embedder_\w+", one) if "forgetless" not in one}
    assert named
    assert all(name.removesuffix("_bucket") in text for name in named)


def test_prometheus_reads_the_ports_that_compose_names() -> None:
    app = yaml.safe_load((COMPOSE / "app.yaml").read_text(encoding="utf-8"))
    jobs = yaml.safe_load((COMPOSE / "monitoring" / "prometheus.yaml").read_text(encoding="utf-8"))["scrape_configs"]
    _, _, port = app["x-app"]["environment"]["FORGETLESS_METRICS_ADDRESS"].rpartition(":")
    (targets,) = (job["static_configs"][0]["targets"] for job in jobs if job["job_name"] == "forgetless")
    assert [target.split(":") for target in targets] == [["app", port], ["worker", port]]
    assert {target.split(":")[0] for target in targets} <= set(app["services"])
    monitoring = yaml.safe_load((COMPOSE / "monitoring.yaml").read_text(encoding="utf-8"))
    mounted = [volume for one in monitoring["services"].values() for volume in one["volumes"] if volume[0] == "."]
    assert all((COMPOSE / volume.split(":")[0]).is_file() for volume in mounted)
    ports = [port for one in monitoring["services"].values() for port in one["ports"]]
    assert all(port.startswith("127.0.0.1:") for port in ports)
