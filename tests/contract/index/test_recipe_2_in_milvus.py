"""Collections of recipe 2: they are served as before until the last generation of that recipe is dropped."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from forgetless.adapters.index_milvus import MilvusIndex
from forgetless.domain.filters.ast import EVERYTHING
from forgetless.domain.memory import Memory
from forgetless.domain.recipes import RECIPES
from forgetless.ports.index import IndexRow
from tests.contract.index.builders import DIMENSIONS, NORTH, ids, memory

pytestmark = pytest.mark.slow


def row(memory: Memory, words: str) -> IndexRow:
    return IndexRow(memory, NORTH, words)


@pytest.fixture(scope="module")
def old_index(milvus_uri: str) -> Iterator[MilvusIndex]:
    name = f"c_{uuid.uuid4().hex}"
    index = MilvusIndex(milvus_uri, collection=name, dimensions=DIMENSIONS, recipe=2, timeout_s=10)
    yield index
    index.drop_all()
    index.close()


def test_its_words_are_found_by_bm25_and_have_no_signals(old_index: MilvusIndex) -> None:
    documents = {"rare": "like sushi", "common": "like tea", "none": "walk"}
    rows = [row(memory(name, tenant="one"), words) for name, words in documents.items()]
    old_index.insert(rows)
    asked = RECIPES[2].query_words("sushi like")
    hits = old_index.search_words("one", asked, EVERYTHING, 10)
    assert ids(hits) == [memory("rare").id, memory("common").id]
    exact = RECIPES[2].matches(asked, list(documents.values()))
    assert [hit.score for hit in hits] == pytest.approx(exact[:2], rel=0.02)
    keys = [(memory("rare").id, 1), (memory("none").id, 1)]
    assert ids(old_index.score_words("one", asked, keys)) == [memory("rare").id]
    assert {hit.signals for hit in [*hits, *old_index.search_vector("one", NORTH, EVERYTHING, 9)]} == {0}
    assert old_index.unchanged("one", rows) == {(one.memory.id, 1) for one in rows}
    assert old_index.unchanged("one", [row(memory("rare", tenant="one"), "like sushi much")]) == set()
    assert old_index.search_words("one", "", EVERYTHING, 9) == []


def test_its_words_beyond_the_end_of_a_varchar_are_cut_between_words(old_index: MilvusIndex) -> None:
    old_index.insert([row(memory("long", tenant="two"), "erste " + "từ" * 20 + " wort" * 20_000)])
    assert ids(old_index.search_words("two", "erste", EVERYTHING, 9)) == [memory("long").id]
