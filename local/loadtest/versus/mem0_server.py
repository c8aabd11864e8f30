"""Runs mem0's server from a checkout with Postgres, its migrations, our Milvus Lite and embedder, and an LLM stub.

Nothing of it is kept here: its code is copied to a temporary folder, where the one line that names its stores is
replaced.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.client import Connection, ToolError
from local.loadtest.scratch_service import ScratchService, answers, free_port, llm_stub, process, wait_for
from local.up.settings import ROOT

__all__ = ["Mem0", "mem0_python", "mem0_server"]

#: The line in which its server names its stores; a checkout without this line is of another version.
_START = "initialize_state(DEFAULT_CONFIG)"
_OURS = 'import json; initialize_state(json.loads(os.environ["VERSUS_CONFIG"]))'
_POSTGRES = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")


@dataclass(frozen=True, slots=True)
class Mem0:
    """The running server and its own processes."""

    connection: Connection
    pids: dict[str, int]


def mem0_python(environment: Mapping[str, str]) -> Path:
    """Return the Python of the Makefile's environment for it, or FORGETLESS_MEM0_PYTHON."""
    python = Path(environment.get("FORGETLESS_MEM0_PYTHON") or ROOT / ".venv-mem0" / "bin" / "python")
    if not python.exists():
        raise ToolError(f"{python} does not exist: start this as `make versus-mem0 MEM0=path`")
    return python


@contextmanager
def mem0_server(checkout: Path, folder: Path, *, python: Path, service: ScratchService) -> Iterator[Mem0]:
    """Start it in `folder` with everything it needs but the embedder, which is that of the service.

    Raises ToolError when something is missing.
    """
    server = _patched_copy(checkout, folder / "server")
    # Postgres refuses to run as root, and its user must be able to read its data.
    folder.chmod(0o711)
    with ExitStack() as parts:
        postgres, port = parts.enter_context(_postgres(folder))
        milvus, socket = parts.enter_context(_milvus(folder))
        llm_url = parts.enter_context(llm_stub(folder))
        key = secrets.token_urlsafe(24)
        environment = _environment(folder, port, key) | {
            "VERSUS_CONFIG": json.dumps(_config(folder, socket, service, llm_url))
        }
        _do(python, "-m", "alembic", "upgrade", "head", cwd=server, environment=environment)
        http = free_port()
        command = (str(python), "-m", "uvicorn", "main:app", "--host", "127.0.0.1", "--port", str(http))
        log = folder / "mem0.log"
        uvicorn = parts.enter_context(process(command, log=log, environment=environment, cwd=server))
        url = f"http://127.0.0.1:{http}"
        wait_for("mem0", lambda: answers(f"{url}/configure", headers={"X-API-Key": key}), uvicorn, log)
        yield Mem0(Connection(url, key), {"server": uvicorn.pid, "postgres": postgres.pid, "milvus": milvus.pid})


def _patched_copy(checkout: Path, copy: Path) -> Path:
    source = checkout / "server" if (checkout / "server").is_dir() else checkout
    main = source / "main.py"
    if not main.is_file():
        raise ToolError(f"{checkout} holds no server of mem0's: name its checkout, as make versus-mem0 MEM0=path")
    # A checkout may have links to what was left out of it.
    shutil.copytree(source, copy, ignore_dangling_symlinks=True)
    text = main.read_text(encoding="utf-8")
    if text.count(_START) != 1:
        raise ToolError(f"{main} is of a version that this tool does not know: no single line {_START!r}")
    (copy / "main.py").chmod(0o644)
    (copy / "main.py").write_text(text.replace(_START, _OURS), encoding="utf-8")
    return copy


def _config(folder: Path, socket: Path, service: ScratchService, llm_url: str) -> dict[str, object]:
    def provided(provider: str, **config: object) -> dict[str, object]:
        return {"provider": provider, "config": config}

    return {
        "version": "v1.1",
        "vector_store": provided(
            "milvus", url=f"unix:{socket}", token="", collection_name="memories", embedding_model_dims=384,
            metric_type="COSINE", db_name="",
        ),
        "llm": provided("openai", api_key="stub", openai_base_url=llm_url, model="stub"),
        "embedder": provided(
            "openai", api_key=service.embedder_key, openai_base_url=f"{service.embedder_url}/v1",
            model="all-MiniLM-L6-v2", embedding_dims=384,
        ),
        "history_db_path": str(folder / "history.db"),
    }  # fmt: skip


def _environment(folder: Path, port: int, key: str) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("FORGETLESS_", "OPENAI_", "PYTHON"))
    }
    return kept | {
        "MEM0_TELEMETRY": "false",
        "MEM0_DIR": str(folder / "mem0"),
        "HISTORY_DB_PATH": str(folder / "history.db"),
        "POSTGRES_HOST": "127.0.0.1",
        "POSTGRES_PORT": str(port),
        "POSTGRES_USER": "postgres",
        "POSTGRES_PASSWORD": "unused",
        "APP_DB_NAME": "mem0_app",
        "ADMIN_API_KEY": key,
        "JWT_SECRET": secrets.token_urlsafe(48),
    }


@contextmanager
def _postgres(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    tools, port, user = _postgres_tools(), free_port(), "postgres" if os.getuid() == 0 else None
    data, log = folder / "postgres", folder / "postgres.log"
    data.mkdir()
    if user:
        shutil.chown(data, user)
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    initdb = (tools / "initdb", "-A", "trust", "-U", "postgres", "-D", data)
    _do(*initdb, cwd=data, environment=environment, user=user)
    command = (tools / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", data)
    with process([str(part) for part in command], log=log, environment=environment, cwd=data, user=user) as running:
        where = ("-h", "127.0.0.1", "-p", str(port), "-U", "postgres")
        ready = [str(tools / "pg_isready"), *where, "-q"]
        wait_for("Postgres", lambda: subprocess.run(ready, check=False).returncode == 0, running, log)
        _do(tools / "createdb", *where, "mem0_app", cwd=data, environment=environment)
        yield running, port


def _do(*command: Path | str, cwd: Path, environment: Mapping[str, str], user: str | None = None) -> None:
    """Run a command to its end; raises ToolError with the end of its output."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        user=user,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ToolError(f"{' '.join(map(str, command[:4]))} failed: {done.stderr.strip()[-300:]}")


def _postgres_tools() -> Path:
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = sorted(folder for pattern in _POSTGRES for folder in Path("/").glob(pattern.lstrip("/")))
    if not folders:
        raise ToolError("mem0's server needs Postgres, and no initdb was found (Debian: apt install postgresql)")
    return folders[-1]


@contextmanager
def _milvus(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    socket, log = folder / "milvus.sock", folder / "milvus.log"
    command = (sys.executable, "-m", "local.milvus", "--data", str(folder / "milvus"), "--socket", str(socket))
    with process(command, log=log, environment=os.environ) as running:
        wait_for("Milvus Lite", lambda: '"ready": true' in log.read_text(encoding="utf-8"), running, log)
        yield running, socket
