"""Writes the table of word weights of the core layer anew: `python -m local.word_weights TOKENIZER_JSON`."""

from __future__ import annotations

import argparse
from pathlib import Path

from forgetless.domain.word_weights import TABLE_FILE
from local.word_weights.build import table_text


def main() -> None:
    """Write the table; the tokenizer's file tells the order of the English words."""
    parser = argparse.ArgumentParser(prog="python -m local.word_weights", description=__doc__)
    parser.add_argument("tokenizer", type=Path, help="tokenizer.json of all-MiniLM-L6-v2 (make up downloads it)")
    text = table_text(parser.parse_args().tokenizer)
    TABLE_FILE.write_text(text, encoding="utf-8")
    print(f"{TABLE_FILE}: {len(text.encode())} bytes")


if __name__ == "__main__":
    main()
