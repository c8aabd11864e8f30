"""The service's settings: one frozen object, read once from arguments, environment and defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .errors import EmbedderError

__all__ = ["OWN_IDS", "PREFIX", "Settings", "SettingsError", "read_settings", "to_environment"]

#: Every setting is read from the variable of this prefix and its name in capitals.
PREFIX = "EMBEDDER_"
#: The value of `token_ids`, and of its header, that says whose ids they are: the model's own.
OWN_IDS = "own"


class SettingsError(EmbedderError):
    """A setting has a value that cannot be used; the message names the variable."""


def _about(description: str, least: int = 0) -> dict[str, object]:
    return {"description": description, "least": least}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field's description is the documentation and the command line's help."""

    model_dir: str = field(default="", metadata=_about("folder made by `prepare`"))
    host: str = field(default="127.0.0.1", metadata=_about("address to listen on"))
    port: int = field(default=7997, metadata=_about("port to listen on; 0 takes a free one"))
    hosts: str = field(
        default="",
        metadata=_about(
            "names with commas that Host headers may have, * any; by default any, on a loopback address this machine's"
        ),
    )
    api_key: str = field(
        default="", repr=False, metadata=_about("if set, requests need it as a Bearer token or X-API-Key")
    )
    served_name: str = field(default="", metadata=_about("further name that `model` of a request may have"))
    processes: int = field(default=1, metadata=_about("processes, each with the whole model", 1))
    threads: int = field(default=2, metadata=_about("batches computed at once, one core each", 1))
    batch_tokens: int = field(default=384, metadata=_about("tokens of a batch, padding included", 1))
    batch_rows: int = field(default=64, metadata=_about("texts of a batch", 1))
    queue_tokens: int = field(default=65_536, metadata=_about("tokens that may wait before 429", 1))
    kept_vectors: int = field(default=2048, metadata=_about("vectors kept for requests that name a `user`"))
    max_tokens: int = field(default=0, metadata=_about("tokens of a text, if fewer than the model takes"))
    max_inputs: int = field(default=2048, metadata=_about("texts of a request", 1))
    token_ids: str = field(
        default="",
        metadata=_about("`own` takes token ids instead of texts, as ids of the model's vocabulary; by default 400"),
    )
    max_body_bytes: int = field(default=16_777_216, metadata=_about("bytes of a request", 1))
    drain_secs: int = field(default=30, metadata=_about("seconds that open requests have after SIGTERM", 1))

    @property
    def model_path(self) -> Path:
        return Path(self.model_dir)


def read_settings(environment: Mapping[str, str], **explicit: object) -> Settings:
    """Read arguments (None means not given), then environment, then defaults. SettingsError names a bad setting."""
    values: dict[str, object] = {}
    for entry in dataclasses.fields(Settings):
        variable = PREFIX + entry.name.upper()
        given = explicit.get(entry.name)
        value = environment.get(variable, "") if given is None else given
        if value == "":
            continue
        if isinstance(entry.default, int):
            value = _number(variable, str(value), int(entry.metadata.get("least", 0)))
        values[entry.name] = value
    settings = Settings(**values)  # type: ignore[arg-type]
    if settings.token_ids not in ("", OWN_IDS):
        raise SettingsError(f"{PREFIX}TOKEN_IDS is {settings.token_ids!r}, it must be {OWN_IDS!r} or unset")
    if not settings.model_dir:
        raise SettingsError(f"no model folder: give --model-dir or {PREFIX}MODEL_DIR")
    return settings


def to_environment(settings: Settings) -> dict[str, str]:
    """Return the variables from which ``read_settings`` makes the same settings."""
    return {PREFIX + name.upper(): str(value) for name, value in dataclasses.asdict(settings).items()}


def _number(variable: str, value: str, least: int) -> int:
    try:
        number = int(value)
    except ValueError:
        raise SettingsError(f"{variable} is {value!r}, it must be a whole number") from None
    if number < least:
        raise SettingsError(f"{variable} is {number}, it must be at least {least}")
    return number
