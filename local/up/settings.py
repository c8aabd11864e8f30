"""Where the service listens and where its data lies: command line over environment over defaults."""

from __future__ import annotations

import argparse
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.up.errors import UpError

__all__ = ["BACKUPS", "MODELS", "ROOT", "Settings", "add_options", "read_settings", "socket_path", "variable_of"]

#: The checkout: parts are started in it, so that relative paths in the template mean the same everywhere.
ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
#: A unix socket's path may be this long (sun_path of 108 bytes, less its final NUL).
MAX_SOCKET_BYTES = 107

#: Embedding models that `up` runs, and the size of their vectors; the first is the default.
MODELS = {"all-MiniLM-L6-v2": 384, "multilingual-e5-small": 384, "jina-embeddings-v3": 1024}

#: The folder of copies within the state folder.
BACKUPS = "backups"

_OPTIONS = {
    "port": ("FORGETLESS_PORT", "3000", "port of the gateway"),
    "embedder-port": ("FORGETLESS_EMBEDDER_PORT", "7997", "port of the embedder"),
    "queue-port": ("FORGETLESS_QUEUE_PORT", "9324", "port of the queue"),
    "environments": ("FORGETLESS_ENVIRONMENTS", "2 for each core", "most environments of a function at once"),
    "embedding-model": ("EMBEDDING_MODEL", "all-MiniLM-L6-v2", f"embedding model: {', '.join(MODELS)}"),
    "state": ("FORGETLESS_STATE", ".forgetless", "folder of data, models, logs and the API key"),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that `up` and `down` are told; paths are absolute."""

    state: Path
    port: int = 3000
    embedder_port: int = 7997
    queue_port: int = 9324
    host: str = HOST
    model: str = "all-MiniLM-L6-v2"
    dimensions: int = 384
    #: Of each function, at most; None leaves it to the emulator.
    environments: int | None = None
    #: Whether a ledger that is empty beside an index that is not is meant.
    empty_ledger: bool = False

    @property
    def url(self) -> str:
        """Where clients talk to the service."""
        return f"http://{self.host}:{self.port}"

    @property
    def logs(self) -> Path:
        """One log file for each part."""
        return self.state / "logs"

    @property
    def model_folder(self) -> Path:
        """The prepared embedding model."""
        return self.state / "models" / self.model

    @property
    def backups(self) -> Path:
        """Where copies of the ledger go that name no other place."""
        return self.state / BACKUPS

    @property
    def ledger(self) -> Path:
        """The SQLite file that holds the truth."""
        return self.state / "ledger.db"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` one option for each setting; the environment's names stand in the help."""
    for name, (variable, default, text) in _OPTIONS.items():
        parser.add_argument(f"--{name}", help=f"{text} ({variable}, {default})")


def read_settings(options: argparse.Namespace, environment: Mapping[str, str]) -> Settings:
    """The settings in force; raises UpError naming the variable that makes no sense."""
    state = _text(options, environment, "state")
    model = _text(options, environment, "embedding-model")
    if model not in MODELS:
        raise UpError(f"--embedding-model or EMBEDDING_MODEL must be one of {', '.join(MODELS)}, not {model!r}")
    return Settings(
        state=Path(os.path.abspath(ROOT / Path(state).expanduser())),
        port=_port(options, environment, "port"),
        embedder_port=_port(options, environment, "embedder-port"),
        queue_port=_port(options, environment, "queue-port"),
        model=model,
        dimensions=MODELS[model],
        environments=_environments(options, environment),
        empty_ledger=bool(getattr(options, "empty_ledger", False)),
    )


def variable_of(option: str) -> str | None:
    """The environment's name of an option of `up`; None for an option that another command adds."""
    return _OPTIONS[option][0] if option in _OPTIONS else None


def socket_path(settings: Settings) -> Path:
    """Where Milvus listens: in the state folder, or where that is too deep, in a short folder remembered there."""
    near = settings.state / "milvus.sock"
    if len(os.fsencode(near)) <= MAX_SOCKET_BYTES:
        return near
    note = settings.state / "socket_folder"
    if note.exists() and _is_ours(Path(note.read_text().strip())):
        return Path(note.read_text().strip()) / "milvus.sock"
    folder = Path(tempfile.mkdtemp(prefix="forgetless-"))
    note.write_text(f"{folder}\n")
    return folder / "milvus.sock"


def _is_ours(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077


def _text(options: argparse.Namespace, environment: Mapping[str, str], name: str) -> str:
    variable, default, _ = _OPTIONS[name]
    chosen = getattr(options, name.replace("-", "_"), None)
    return str(chosen or environment.get(variable) or default)


def _environments(options: argparse.Namespace, environment: Mapping[str, str]) -> int | None:
    text = str(options.environments or environment.get("FORGETLESS_ENVIRONMENTS") or "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise UpError(f"--environments or FORGETLESS_ENVIRONMENTS must be a whole number above 0, not {text!r}")
    return int(text)


def _port(options: argparse.Namespace, environment: Mapping[str, str], name: str) -> int:
    text = _text(options, environment, name)
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise UpError(f"--{name} or {_OPTIONS[name][0]} must be a port from 1 to 65535, not {text!r}")
    return int(text)
