"""Reads a file of conversations, in LoCoMo's format or in our own."""

from __future__ import annotations

import json
from pathlib import Path

from local.client import ToolError
from local.evaluate.chats import read_chats
from local.evaluate.conversations import Conversation
from local.evaluate.locomo import read_locomo

__all__ = ["OWN", "read_conversations"]

#: Our own conversations. Constants may be chosen on the files `tune-…`; `report-…` and `blind-…` are only reported.
OWN = Path(__file__).with_name("data")


def read_conversations(path: Path) -> list[Conversation]:
    """The conversations of one file; raises ToolError that names the file and the fault."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jsonl":
            return read_chats(text.splitlines(), path.name)
        return read_locomo(json.loads(text), path.stem)
    except OSError as error:
        raise ToolError(f"{path} cannot be read: {error.strerror}") from None
    except ToolError as error:
        raise ToolError(f"{path}: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ToolError(
            f"{path} is not in LoCoMo's format (turns, questions): {type(error).__name__} {error}"
        ) from None
