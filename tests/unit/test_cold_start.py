"""What a function for searches must not do at a cold start. Modules and models are counted, never seconds."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import fastapi
import pytest

from forgetless.api.app import create_app
from local.artifacts.build import read_build

ROOT = Path(__file__).parents[2]
PATCH = ROOT / "layers" / "dependencies" / "defer_openapi_models.py"

#: Loads a function as a new environment does, then prints what it has loaded.
_START = """
import json, sys
import app
from forgetless.runtime.composition import services
services()
from pydantic import BaseModel
def kinds(of):
    for one in of.__subclasses__():
        yield one
        yield from kinds(one)
built = [f"{one.__module__}.{one.__name__}" for one in kinds(BaseModel) if one.__pydantic_complete__]
print(json.dumps({"modules": sorted(sys.modules), "built": built}))
"""

#: Prints the OpenAPI document as the function for all other routes makes it.
_DOCUMENT = """
import json
from forgetless.api.app import create_app
print(json.dumps(create_app(lambda: None, inline=True).openapi()))
"""


@pytest.fixture(scope="module")
def deferred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with FastAPI as the layer has it."""
    folder = tmp_path_factory.mktemp("layer")
    shutil.copytree(Path(fastapi.__file__).parent, folder / "fastapi", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run((sys.executable, PATCH, folder), check=True)
    return folder


def run(script: str, folder: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    path = [folder, *read_build(ROOT).python_path("SearchFunction")]
    variables = {
        "FORGETLESS_LEDGER_PATH": str(tmp_path / "ledger.db"),
        "FORGETLESS_MILVUS_URI": "http://127.0.0.1:9",
        "FORGETLESS_EMBEDDER_URL": "http://127.0.0.1:9",
        "PYTHONPATH": ":".join(map(str, path)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=True)


def test_the_function_for_searches_loads_no_more_than_it_needs(deferred: Path, tmp_path: Path) -> None:
    loaded = json.loads(run(_START, deferred, tmp_path).stdout)
    ours = [name for name in loaded["modules"] if name.startswith("forgetless.")]
    needless = (
        "boto3",
        "mcp",
        "forgetless.cli",
        "forgetless.adapters.llm_http",
        "forgetless.api.platform.wire",
        "forgetless.service.transfer.import_jobs",
        "forgetless.service.transfer.event_export",
        "forgetless.service.transfer.export_jobs",
        "forgetless.service.transfer.import_check",
        "forgetless.api.selfhosted.wire",
    )
    assert [name for name in needless if name in loaded["modules"]] == []
    assert "forgetless.api.selfhosted.routes.search" in ours
    assert [name for name in ours if ".routes." in name and not name.endswith(".search")] == []
    # A model of a document is built with the document.
    document = {
        f"fastapi.openapi.models.{name}" for name in ("Schema", "Operation", "PathItem", "Components", "OpenAPI")
    }
    assert document & set(loaded["built"]) == set()


def test_the_document_is_the_same_with_the_layers_fastapi(deferred: Path, tmp_path: Path) -> None:
    made = json.loads(run(_DOCUMENT, deferred, tmp_path).stdout)
    assert made == json.loads(json.dumps(create_app(lambda: None, inline=True).openapi()))  # type: ignore[arg-type,return-value]


def test_a_fastapi_that_is_not_as_expected_fails_the_build(tmp_path: Path) -> None:
    models = tmp_path / "fastapi" / "openapi" / "models.py"
    models.parent.mkdir(parents=True)
    models.write_text("class BaseModelWithConfig: ...\n")
    done = subprocess.run((sys.executable, PATCH, tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "is not as expected" in done.stderr


def test_the_layer_defers_the_models_before_it_compiles_them() -> None:
    makefile = (ROOT / "layers" / "dependencies" / "Makefile").read_text()
    assert 0 < makefile.index(f"$(PYTHON) {PATCH.name}") < makefile.index("compile_bytecode.sh")
