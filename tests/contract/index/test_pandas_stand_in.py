"""The stand-in for pandas: pymilvus works with it end to end, and its answers are those of pandas."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.milvus import LiteServer

ROOT = Path(__file__).parents[3]
STAND_IN = ROOT / "layers" / "dependencies" / "python"

ALL_CALLS = """
import sys, pandas
from forgetless.adapters.index_milvus import MilvusIndex
from forgetless.domain.filters.parse import parse_filter
from tests.contract.index.builders import NORTH, asked, memory, row
index = MilvusIndex(sys.argv[1], collection="stand_in", dimensions=4)
one, two = memory("one", user_id="alice", metadata={"k": 1}), memory("two", metadata={"k": 2.5})
index.insert([row(one, words="tea"), row(two, words="tea")])
print(len(index.search_vector("acme", NORTH, parse_filter({"user_id": "alice", "k": {"gte": 1}}), 9)))
print(len(index.search_words("acme", asked("tea"), parse_filter({"k": {"in": [1, 2.5]}}), 9)))
print(index.vectors("acme", [(one.id, 1)])[one.id, 1] == NORTH)
index.drop("acme", [(one.id, 1)]); index.drop_older("acme", [two]); index.drop_all("acme"); index.drop_all()
print(pandas.__version__, any(name.startswith("pandas.core") for name in sys.modules))
"""

QUESTIONS = """
import json, sys, datetime, decimal, numpy as np
from pandas.api import types
values = [None, 1, 1.5, True, "x", b"x", [1], (1,), {1}, {"k": 1}, np.array([1]), np.array(1), np.float32(1),
          np.int64(1), decimal.Decimal(1), datetime.datetime(2026, 1, 1), range(3), object(), int, iter([1])]
names = ["is_scalar", "is_list_like", "is_array_like", "is_float"]
print(json.dumps([[bool(getattr(types, name)(value)) for value in values] for name in names]))
"""


def python(code: str, *arguments: str, stand_in: bool) -> str:
    path = [str(STAND_IN)] * stand_in + [str(ROOT / "layers/core/python"), str(ROOT)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


@pytest.mark.slow
def test_every_call_of_the_index_works_with_the_stand_in(lite: LiteServer) -> None:
    assert python(ALL_CALLS, lite.uri, stand_in=True).split("\n")[:4] == ["1", "2", "True", "0.0.1 False"]


@pytest.mark.slow
def test_the_stand_in_answers_as_pandas_does() -> None:
    assert json.loads(python(QUESTIONS, stand_in=True)) == json.loads(python(QUESTIONS, stand_in=False))


@pytest.mark.parametrize("name", ["DataFrame", "Series"])
def test_the_stand_in_makes_no_data_frames(name: str) -> None:
    code = f"import pandas\ntry: pandas.{name}([1])\nexcept NotImplementedError as error: print(error)"
    assert "install pandas" in python(code, stand_in=True)
