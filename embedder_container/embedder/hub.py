"""Downloads a repository of the model hub at one commit, through huggingface_hub's own client."""

from __future__ import annotations

from pathlib import Path

from .errors import PrepareError

__all__ = ["FILES", "download"]

#: The files that are needed from a repository with a published graph.
FILES = ("config.json", "tokenizer.json", "onnx/model.onnx", "onnx/model.onnx_data")


def download(source: str, folder: Path) -> Path:
    """Fetch ``repository@revision`` below ``folder``. Raises PrepareError that names what is missing."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - only this needs it

    repository, _, revision = source.partition("@")
    try:
        snapshot_download(repository, revision=revision, allow_patterns=list(FILES), local_dir=folder)
    except Exception as error:  # noqa: BLE001 - the client's own kinds, and those of the network below it
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PrepareError(
            f"{source} could not be downloaded ({reason}): check the network, or give --model a folder with its files"
        ) from None
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise PrepareError(f"{source} has no {', '.join(missing)}")
    return folder
