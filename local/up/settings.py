"""The settings of `up`, such as ports and folders: command line first, then environment, then defaults."""

from __future__ import annotations

import argparse
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.up.beside import beside
from local.up.errors import UpError
from local.up.models import ENGLISH, MODELS, SIZES

__all__ = [
    "BACKUPS",
    "ROOT",
    "Settings",
    "add_options",
    "control_path",
    "read_settings",
    "socket_path",
    "variable_of",
]

#: The checkout. Parts are started in it, so that relative paths in the template always mean the same.
ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
#: The longest path of a unix socket (sun_path has 108 bytes, with the final NUL).
MAX_SOCKET_BYTES = 107

#: The folder of backups within the state folder.
BACKUPS = "backups"

_OPTIONS = {
    "port": ("FORGETLESS_PORT", "3000", "port of the gateway"),
    "embedder-port": ("FORGETLESS_EMBEDDER_PORT", "7997", "port of the embedder"),
    "beside-embedder-port": (
        "FORGETLESS_BESIDE_EMBEDDER_PORT",
        "7998",
        "port of the embedder of another model, while the index is filled anew or can go back",
    ),
    "queue-port": ("FORGETLESS_QUEUE_PORT", "9324", "port of the queue"),
    "metrics-port": ("FORGETLESS_METRICS_PORT", "9464", "port of /metrics for Prometheus; 0 for none"),
    "environments": ("FORGETLESS_ENVIRONMENTS", "2 for each core", "most environments of a function at once"),
    "fork": ("FORGETLESS_FORK", "on", "on: environments of a function are forked from one that has initialised; off"),
    "embedding-model": ("EMBEDDING_MODEL", ENGLISH, f"embedding model: {', '.join(MODELS)}"),
    "allowed-hosts": (
        "FORGETLESS_ALLOWED_HOSTS",
        "none",
        "names of the gateway besides localhost, with commas; * any",
    ),
    "state": ("FORGETLESS_STATE", ".forgetless", "folder of data, models, logs and the API key"),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of `up` and `down`; paths are absolute."""

    state: Path
    port: int = 3000
    embedder_port: int = 7997
    queue_port: int = 9324
    #: The port of /metrics; None serves none.
    metrics_port: int | None = 9464
    host: str = HOST
    model: str = ENGLISH
    dimensions: int = 384
    #: The model that must run beside it: that of an index that serves, or can serve again (`local/up/beside.py`).
    beside: str | None = None
    beside_port: int = 7998
    #: Whether that model may be missing: then searches in its index go by words alone.
    accept_degraded: bool = False
    #: The most environments of each function; None leaves it to the emulator.
    environments: int | None = None
    #: Whether they are forked from a process that has initialised the function.
    fork: bool = True
    #: Names in the Host header that the gateway takes besides this machine's.
    allowed_hosts: tuple[str, ...] = ()
    #: Whether the ledger is empty on purpose although the index is not.
    empty_ledger: bool = False

    @property
    def url(self) -> str:
        """Return the URL of the service."""
        return f"http://{self.host}:{self.port}"

    @property
    def logs(self) -> Path:
        """Return the folder with one log file for each part."""
        return self.state / "logs"

    @property
    def model_folder(self) -> Path:
        """Return the folder of the prepared embedding model."""
        return self.folder_of(self.model)

    def folder_of(self, model: str) -> Path:
        """Return the folder of a prepared embedding model."""
        return self.state / "models" / model

    @property
    def runs_beside(self) -> bool:
        """Return whether another model runs beside the one that is asked for."""
        return self.beside is not None and not self.accept_degraded

    @property
    def backups(self) -> Path:
        """Return the folder of backups that name no other place."""
        return self.state / BACKUPS

    @property
    def ledger(self) -> Path:
        """Return the SQLite file of the ledger."""
        return self.state / "ledger.db"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` one option for each setting; the help names the environment variables."""
    for name, (variable, default, text) in _OPTIONS.items():
        parser.add_argument(f"--{name}", help=f"{text} ({variable}, {default})")


def read_settings(options: argparse.Namespace, environment: Mapping[str, str]) -> Settings:
    """Return the settings in force; raises UpError that names an invalid variable."""
    state = _text(options, environment, "state")
    model = _text(options, environment, "embedding-model")
    if model not in SIZES:
        raise UpError(f"--embedding-model or EMBEDDING_MODEL must be one of {', '.join(MODELS)}, not {model!r}")
    folder = Path(os.path.abspath(ROOT / Path(state).expanduser()))
    return Settings(
        state=folder,
        beside=beside(folder, model),
        beside_port=_port(options, environment, "beside-embedder-port"),
        accept_degraded=bool(getattr(options, "accept_degraded", False)),
        port=_port(options, environment, "port"),
        embedder_port=_port(options, environment, "embedder-port"),
        queue_port=_port(options, environment, "queue-port"),
        metrics_port=_port(options, environment, "metrics-port", least=0) or None,
        model=model,
        dimensions=SIZES[model],
        environments=_environments(options, environment),
        fork=_switch(options, environment, "fork"),
        allowed_hosts=_names(options, environment),
        empty_ledger=bool(getattr(options, "empty_ledger", False)),
    )


def variable_of(option: str) -> str | None:
    """Return the environment variable of an option of `up`, or None for an option of another command."""
    return _OPTIONS[option][0] if option in _OPTIONS else None


def socket_path(settings: Settings) -> Path:
    """Return Milvus' socket: in the state folder or, where that path is too long, in a short folder noted there."""
    near = settings.state / "milvus.sock"
    if len(os.fsencode(near.with_name("control.sock"))) <= MAX_SOCKET_BYTES:
        return near
    note = settings.state / "socket_folder"
    if note.exists() and _is_ours(Path(note.read_text().strip())):
        return Path(note.read_text().strip()) / "milvus.sock"
    folder = Path(tempfile.mkdtemp(prefix="forgetless-"))
    note.write_text(f"{folder}\n")
    return folder / "milvus.sock"


def control_path(settings: Settings) -> Path:
    """Return the socket at which Milvus' supervisor is asked to compact the index file; it is as near."""
    return socket_path(settings).with_name("control.sock")


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


def _names(options: argparse.Namespace, environment: Mapping[str, str]) -> tuple[str, ...]:
    given = str(getattr(options, "allowed_hosts", None) or environment.get("FORGETLESS_ALLOWED_HOSTS") or "")
    return tuple(name.strip() for name in given.split(",") if name.strip())


def _environments(options: argparse.Namespace, environment: Mapping[str, str]) -> int | None:
    text = str(options.environments or environment.get("FORGETLESS_ENVIRONMENTS") or "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise UpError(f"--environments or FORGETLESS_ENVIRONMENTS must be a whole number above 0, not {text!r}")
    return int(text)


def _switch(options: argparse.Namespace, environment: Mapping[str, str], name: str) -> bool:
    text = _text(options, environment, name)
    if text not in {"on", "off"}:
        raise UpError(f"--{name} or {_OPTIONS[name][0]} must be on or off, not {text!r}")
    return text == "on"


def _port(options: argparse.Namespace, environment: Mapping[str, str], name: str, *, least: int = 1) -> int:
    text = _text(options, environment, name)
    if not text.isascii() or not text.isdigit() or not least <= int(text) < 65536:
        raise UpError(f"--{name} or {_OPTIONS[name][0]} must be a port from {least} to 65535, not {text!r}")
    return int(text)
