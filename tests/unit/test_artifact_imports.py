"""An image or a function imports only what it contains; checked without building either."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest

from local.artifacts.build import read_build
from local.lock import LOCKS
from tests.unit.requirements_closure import brought_by, modules_of, pins_of

ROOT = Path(__file__).parents[2]
COMPOSE, EMBEDDER = ROOT / "local" / "compose", ROOT / "embedder_container"
OURS = ("forgetless", "embedder", "local")
#: Replaced by a stand-in of the layer's own, which the image takes too.
STAND_IN = "pandas"
#: What a layer leaves out of a package that it installs.
LEFT_OUT = ("pydantic.v1",)
#: What Lambda's runtime brings. Outside Lambda, what needs AWS is never composed: ledger, queue and secrets there.
RUNTIME = ("boto3", "awslambdaric")


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*OURS, include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None)


def reached(*starts: str) -> set[str]:
    """Every module that these import, at once or later, with the packages around each."""
    found = set(starts) | {one for start in starts for one in graph().find_upstream_modules(start)}
    return found | {name.rsplit(".", depth)[0] for name in found for depth in range(1, name.count(".") + 1)}


def third_party(modules: set[str]) -> set[str]:
    top = {name.partition(".")[0] for name in modules}
    return top - set(sys.stdlib_module_names) - set(OURS) - {"__future__"}


def provided(*files: Path, also: tuple[str, ...] = ()) -> set[str]:
    return modules_of(brought_by([*pins_of(*files), *also]) - {STAND_IN}) | {STAND_IN}


def layers(*names: str) -> list[Path]:
    return [ROOT / "layers" / name / "requirements.txt" for name in names]


#: Every layer that installs anything.
ALL_LAYERS = sorted(ROOT.glob("layers/*/requirements.txt"))


def test_the_apis_image_installs_all_that_its_package_imports() -> None:
    package = {name for name in graph().modules if name.partition(".")[0] == "forgetless"}
    wanted = third_party(reached(*package) | {"uvicorn"})
    missing = wanted - provided(*ALL_LAYERS, COMPOSE / "app" / "requirements.txt")
    # The start of an environment does without the hooks of SnapStart where nothing brings them.
    assert missing == {"snapshot_restore_py"}
    assert missing <= provided(also=RUNTIME)


def test_the_apis_image_takes_the_requirements_of_every_layer() -> None:
    [lock] = [one for one in LOCKS if one.file == "local/compose/app/requirements.lock"]
    assert {str(file.relative_to(ROOT)) for file in ALL_LAYERS} < set(lock.inputs)
    assert f"COPY {lock.file}" in (COMPOSE / "app" / "Dockerfile").read_text()
    assert {file.parent.name for file in ALL_LAYERS} == {"dependencies", "mcp"}


def test_milvus_lites_image_takes_all_that_its_server_imports() -> None:
    needed = reached("local.milvus.__main__")
    dockerfile = (COMPOSE / "milvus-lite" / "Dockerfile").read_text()
    copied = [
        ROOT / name for line in re.findall(r"^COPY (local/.*) \S+$", dockerfile, re.MULTILINE) for name in line.split()
    ]
    files = {name: ROOT.joinpath(*name.split(".")) for name in needed if name.partition(".")[0] == "local"}
    sources = [one / "__init__.py" if one.is_dir() else one.with_suffix(".py") for one in files.values()]
    assert [one for one in sources if not any(one.is_relative_to(place) for place in copied)] == []
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {str(place.relative_to(ROOT)) for place in copied if place.suffix != ".lock"} <= allowed
    # It asks for the package of the binary by name, and imports nothing.
    assert third_party(needed) == set()


EMBEDDERS = {
    "embedder.server": ["requirements.txt"],
    "embedder.lambda_function": ["requirements.txt", "requirements-lambda.txt"],
}


@pytest.mark.parametrize(("start", "files"), EMBEDDERS.items(), ids=list(EMBEDDERS))
def test_the_embedders_image_installs_all_that_it_imports(start: str, files: list[str]) -> None:
    assert third_party(reached(start)) <= provided(*(EMBEDDER / name for name in files))


#: Runs a function's module where the named top-level modules cannot be imported.
_GUARDED = """
import gc, importlib.abc, json, sys
absent = set(json.loads(sys.argv[1]))
class Guard(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent or name in absent:
            raise ModuleNotFoundError(f"No module named {name!r}: no layer of the function brings it", name=name)
sys.meta_path.insert(0, Guard())
sys.path[:0] = json.loads(sys.argv[2])
frozen = []
gc.callbacks.append(lambda phase, info: frozen.append(gc.get_freeze_count()))
import app
assert 0 not in frozen, "garbage was looked for among what was being loaded"
assert gc.isenabled() and gc.get_freeze_count()
searched = len(frozen)
from forgetless.runtime.composition import services
services()
import pymilvus
assert len(frozen) - searched <= 10, "garbage was looked for after every few objects"
"""


@pytest.mark.parametrize("name", sorted(read_build(ROOT).functions))
def test_a_function_starts_with_the_packages_of_its_layers_alone(name: str, tmp_path: Path) -> None:
    build = read_build(ROOT)
    path = [str(folder) for folder in build.python_path(name)]
    files = [file for file in ALL_LAYERS if str(file.parent / "python") in path]
    absent = set(packages_distributions()) - provided(*files, also=RUNTIME) - {"forgetless"} | set(LEFT_OUT)
    variables = {
        "FORGETLESS_LEDGER": "dynamodb",
        "FORGETLESS_LEDGER_TABLE": "ledger",
        "FORGETLESS_ERASURES_TABLE": "erasures",
        "FORGETLESS_QUEUE_URL": "http://127.0.0.1:9/1/queue.fifo",
        "FORGETLESS_BULK_QUEUE_URL": "http://127.0.0.1:9/1/bulk",
        "FORGETLESS_MILVUS_URI": "http://127.0.0.1:9",
        "FORGETLESS_EMBEDDER_URL": "http://127.0.0.1:9",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "AWS_REGION": "eu-central-1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-c", _GUARDED, json.dumps(sorted(absent)), json.dumps(path)]
    done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_left_out_of_a_package_is_left_out_by_the_layer() -> None:
    makefile = (ROOT / "layers" / "dependencies" / "Makefile").read_text()
    for name in LEFT_OUT:
        assert f'rm -rf "$(ARTIFACTS_DIR)"/python/{name.replace(".", "/")}\n' in makefile


def test_what_the_mcp_layer_leaves_out_comes_with_the_other() -> None:
    makefile = (ROOT / "layers" / "mcp" / "Makefile").read_text()
    (left_out,) = [line.partition(":=")[2].split() for line in makefile.splitlines() if line.startswith("SHARED :=")]
    assert left_out
    assert set(left_out) <= provided(*layers("dependencies"))
