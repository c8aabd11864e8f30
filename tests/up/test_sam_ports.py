"""The ports of `make sam-local`: every listening part declares its port, and no two may share one."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.sam import parts as sam
from local.sam.parts import Ports, SamSettings, parts_of
from local.up.errors import UpError
from local.up.ports import refuse_taken_ports
from local.up.settings import ROOT, Settings


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "build"
    folder.mkdir()
    (folder / "template.yaml").write_text((ROOT / "template.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(sam, "BUILT", folder)
    return folder


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    ("chosen", "ports", "named"),
    [
        ({"port": 7000, "queue_port": 7000}, {}, ("--queue-port (FORGETLESS_QUEUE_PORT)", "--port (FORGETLESS_PORT)")),
        ({"port": 7000}, {"functions": 7000}, ("--functions-port", "--port (FORGETLESS_PORT)")),
        ({"embedder_port": 7000}, {"milvus": 7000}, ("--milvus-port", "--embedder-port (FORGETLESS_EMBEDDER_PORT)")),
        ({}, {"dynamodb": 7000, "functions": 7000}, ("--dynamodb-port", "--functions-port")),
    ],
)
def test_two_parts_on_one_port_are_refused_with_both_options(
    tmp_path: Path, chosen: dict[str, int], ports: dict[str, int], named: tuple[str, str]
) -> None:
    settings = SamSettings(Settings(state=tmp_path, **chosen), Ports(**ports))  # type: ignore[arg-type]
    with pytest.raises(UpError, match="are both 7000; choose another: make sam-local") as refused:
        refuse_taken_ports(parts_of(settings, {}, tmp_path / "key"), "127.0.0.1", command="make sam-local")
    assert all(option in str(refused.value) for option in named)


@pytest.mark.usefixtures("built")
def test_every_port_of_sam_local_is_looked_at(tmp_path: Path) -> None:
    settings = SamSettings(Settings(state=tmp_path), Ports())
    named = {option for part in parts_of(settings, {}, tmp_path / "key") for option in part.ports}
    assert named == {
        "port", "queue-port", "embedder-port", "milvus-port", "dynamodb-port", "functions-port"
    }  # fmt: skip


def test_a_number_that_is_no_port_is_refused_by_its_option(tmp_path: Path) -> None:
    part = sam.Part("milvus", ("true",), {}, ports={"milvus-port": 70_000})
    with pytest.raises(UpError, match="--milvus-port must be a port from 1 to 65535, not 70000"):
        refuse_taken_ports([part], "127.0.0.1")
