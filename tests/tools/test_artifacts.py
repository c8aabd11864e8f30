"""Checks of a build: sizes by function, the limit, and the machine for which files were compiled."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from local.artifacts.build import Build, faults, lines, read_build
from local.bench.cold import cold_starts
from local.emulator.specs import TemplateError
from local.lambda_python import find_python

ROOT = Path(__file__).parents[2]
TEMPLATE = """
Globals: {Function: {Layers: [!Ref Packages]}}
Resources:
  Packages: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: Packages}}
  Extra: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: Extra}}
  Small: {Type: AWS::Serverless::Function, Properties: {CodeUri: Small, Handler: app.handler}}
  Large: {Type: AWS::Serverless::Function, Properties: {CodeUri: Large, Handler: app.handler, Layers: [!Ref Extra]}}
"""


def elf(machine: int) -> bytes:
    return b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 3, machine) + bytes(44)


@pytest.fixture
def build(tmp_path: Path) -> Build:
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    for name in ("Packages", "Extra", "Small", "Large"):
        (tmp_path / name / "python" / "__pycache__").mkdir(parents=True)
    (tmp_path / "Packages/python/a.cpython-313-x86_64-linux-gnu.so").write_bytes(elf(62))
    (tmp_path / "Packages/python/__pycache__/a.cpython-313.pyc").write_bytes(bytes(36))
    (tmp_path / "Extra/python/data").write_bytes(bytes(1000))
    (tmp_path / "Extra/python/not.so").write_text("no library")
    return read_build(tmp_path)


def test_a_functions_size_is_that_of_its_code_and_all_its_layers(build: Build) -> None:
    assert (build.unzipped("Small"), build.unzipped("Large")) == (100, 1110)


def test_a_function_over_the_limit_is_named_with_its_size(build: Build) -> None:
    assert list(faults(build, "x86_64")) == []
    (fault,) = faults(build, "x86_64", limit=1109)
    assert fault.startswith("Large unpacks to")


def test_a_library_for_another_machine_is_named(build: Build) -> None:
    assert build.layers["Packages"].architectures() == {"x86_64": {"python/a.cpython-313-x86_64-linux-gnu.so"}}
    (fault,) = faults(build, "arm64")
    assert "Packages is for x86_64, not arm64: python/a.cpython-313" in fault


def test_the_sizes_say_what_is_compiled_and_for_which_machine(build: Build) -> None:
    packages, extra, *_ = lines(build)
    assert packages.endswith("1 modules compiled, x86_64")
    assert extra.endswith("0 modules compiled, any machine")


def test_layers_are_searched_in_lambdas_order(build: Build) -> None:
    assert [path.parent.name for path in build.python_path("Large")[1:]] == ["Extra", "Packages"]


def test_without_a_build_the_error_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"template\.yaml: cannot be read"):
        read_build(tmp_path)


def test_an_interpreter_of_another_version_is_not_taken(tmp_path: Path) -> None:
    fake = tmp_path / "versions/3.13.9/bin/python3.13"
    fake.parent.mkdir(parents=True)
    fake.write_text("#!/bin/sh\necho 3.12\n")
    fake.chmod(0o755)
    environment = {"PYENV_ROOT": str(tmp_path), "FORGETLESS_PYTHON313": str(fake)}
    assert find_python(environment) != str(fake)


def test_a_functions_figures_follow_each_other() -> None:
    (figures,) = cold_starts(read_build(ROOT), None, ["sqlite"], runs=1, functions=["SearchFunction"])
    assert figures.function == "SearchFunction"
    assert 0 < figures.init_s < figures.composed_s < figures.first_read_s < figures.milvus_s


def compile_layer(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    script = ROOT / "layers/compile_bytecode.sh"
    environment = {"HOME": str(folder), "PATH": str(folder / "nothing"), **environment}
    return subprocess.run(
        ["/bin/sh", str(script), str(folder)], env=environment, capture_output=True, text=True, check=False
    )


def test_bytecode_is_compiled_by_pyenvs_interpreter_for_where_lambda_unpacks_it(tmp_path: Path) -> None:
    interpreter = tmp_path / "versions/3.13.0/bin/python3.13"
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text('#!/bin/sh\n[ "$1" = -c ] || echo "$@"\n')
    interpreter.chmod(0o755)
    done = compile_layer(tmp_path, PYENV_ROOT=str(tmp_path))
    arguments = "-m compileall -q --invalidation-mode unchecked-hash"
    assert done.stdout.strip() == f"{arguments} -s {tmp_path} -p /opt {tmp_path}/python"
    assert done.returncode == 0


def test_without_any_interpreter_the_layer_is_built_and_the_price_named(tmp_path: Path) -> None:
    done = compile_layer(tmp_path)
    assert done.returncode == 0
    assert "no python3.13 on PATH, among pyenv's versions or in Docker" in done.stderr
