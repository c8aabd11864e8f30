"""Scores and candidates: absolute, between 0 and 1, and complete where it matters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from forgetless.domain.scoring import BM25_MIDPOINT, fuse, saturate
from forgetless.ports.index import Hit
from forgetless.service.reading.candidates import Candidates

cosines = st.floats(-1, 1)
words = st.floats(0, 200)


@given(cosines, words)
def test_a_score_lies_within_0_and_1(cosine: float, bm25: float) -> None:
    assert 0 <= fuse(cosine, bm25) <= 1


@given(cosines, words, st.floats(0, 1), st.floats(0, 50))
def test_more_of_either_never_lowers_a_score(cosine: float, bm25: float, nearer: float, worded: float) -> None:
    assert fuse(cosine + nearer, bm25) >= fuse(cosine, bm25)
    assert fuse(cosine, bm25 + worded) >= fuse(cosine, bm25)


def test_the_midpoint_counts_one_half() -> None:
    assert saturate(BM25_MIDPOINT) == 0.5
    assert saturate(0) == saturate(-3) == 0


def test_a_row_that_both_found_carries_both_ranks() -> None:
    candidates = Candidates()
    candidates.add_near([Hit("a", 1, 0.9), Hit("b", 1, 0.8)])
    candidates.add_worded([Hit("b", 1, 12.0)])
    best = candidates.ranked()[0]
    assert (best.memory_id, best.dense_rank, best.bm25_rank) == ("b", 2, 1)


def test_a_repeated_hit_keeps_its_best_rank() -> None:
    candidates = Candidates()
    candidates.add_near([Hit("a", 1, 0.9), Hit("a", 1, 0.1)])
    assert [(row.cosine, row.dense_rank) for row in candidates.ranked()] == [(0.9, 1)]


def test_only_rows_that_could_still_reach_a_place_are_asked_for() -> None:
    candidates = Candidates()
    candidates.add_near([Hit("both", 1, 0.9)])
    candidates.add_worded([Hit("both", 1, 30.0), Hit("hopeful", 1, 29.0), Hit("hopeless", 1, 0.1)])
    assert candidates.without_cosine(places=2, below=0.3) == [("hopeful", 1)]
    assert candidates.without_cosine(places=3, below=0.3) == [("hopeful", 1), ("hopeless", 1)]


@given(st.lists(st.tuples(cosines, words), min_size=1, max_size=40), st.integers(1, 10))
def test_completing_what_is_asked_for_gives_the_true_first_places(rows: list[tuple[float, float]], places: int) -> None:
    """Each retriever lists half of the rows; the rest is asked for only where it could matter."""
    near = sorted((Hit(str(i), 1, cosine) for i, (cosine, _) in enumerate(rows)), key=lambda hit: -hit.score)
    worded = sorted((Hit(str(i), 1, bm25) for i, (_, bm25) in enumerate(rows)), key=lambda hit: -hit.score)
    half = (len(rows) + 1) // 2
    candidates = Candidates()
    candidates.add_near(near[:half])
    candidates.add_worded(worded[:half])
    asked = {key for key, _ in candidates.without_cosine(places=places, below=near[half - 1].score)}
    candidates.complete_near([hit for hit in near if hit.memory_id in asked])
    asked = {key for key, _ in candidates.without_bm25(places=places, below=worded[half - 1].score)}
    candidates.complete_worded([hit for hit in worded if hit.memory_id in asked])
    listed = {hit.memory_id for hit in [*near[:half], *worded[:half]]}
    true = sorted((fuse(*rows[int(key)]) for key in listed), reverse=True)[:places]
    assert [row.score for row in candidates.ranked()[:places]] == true
