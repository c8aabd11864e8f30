"""Candidates: the rows of both retrievers, complete where it matters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from forgetless.domain.scoring import AddedScore
from forgetless.domain.signals import QuestionSignals, RowSignals
from forgetless.ports.index import Hit
from forgetless.service.candidates import Candidates

SCORER = AddedScore(QuestionSignals(asks_when=True))


def hit(memory_id: str, score: float, row: RowSignals | None = None) -> Hit:
    return Hit(memory_id, 1, score, (row or RowSignals()).pack())


def test_a_row_that_both_found_carries_both_ranks() -> None:
    candidates = Candidates(SCORER)
    candidates.add_near([hit("a", 0.9), hit("b", 0.8)])
    candidates.add_worded([hit("b", 12.0)])
    best = candidates.ranked()[0]
    assert (best.memory_id, best.dense_rank, best.word_rank) == ("b", 2, 1)


def test_a_repeated_hit_keeps_its_best_rank() -> None:
    candidates = Candidates(SCORER)
    candidates.add_near([hit("a", 0.9), hit("a", 0.1)])
    assert [(row.cosine, row.dense_rank) for row in candidates.ranked()] == [(0.9, 1)]


def test_a_row_that_several_searches_found_counts_by_the_nearest() -> None:
    candidates = Candidates(SCORER)
    for hits in ([hit("a", 0.4), hit("b", 0.3)], [hit("b", 0.9), hit("a", 0.1)]):
        candidates.add_near(hits)
    assert [(row.memory_id, row.cosine) for row in candidates.ranked()] == [("b", 0.9), ("a", 0.4)]


def test_rows_with_the_same_score_are_ordered_by_time_the_newest_first_then_by_id() -> None:
    candidates = Candidates(SCORER)
    days = {"b": 20_000, "a": 20_000, "old": 10_000, "before 1970": -10_000, "new": 20_001, "unknown": None}
    candidates.add_near([hit(name, 0.5, RowSignals(day=day)) for name, day in days.items()])
    candidates.add_near([hit("a second later", 0.5, RowSignals(day=20_000, second=1))])
    found = [row.memory_id for row in candidates.ranked()]
    assert found == ["new", "a second later", "a", "b", "old", "before 1970", "unknown"]


def test_only_rows_that_could_still_reach_a_place_are_asked_for() -> None:
    candidates = Candidates(SCORER)
    candidates.add_near([hit("both", 0.9)])
    with_time = RowSignals(has_time=True)
    worded = [hit("hopeful", 29.0), hit("timely", 5.0, with_time), hit("as worded", 5.0), hit("hopeless", 0.1)]
    candidates.add_worded([hit("both", 30.0), *worded])
    assert candidates.without_cosine(places=2, below=0.3) == [("hopeful", 1), ("timely", 1)]
    assert len(candidates.without_cosine(places=4, below=0.1)) == 3
    assert len(candidates.without_cosine(places=5, below=0.1)) == 4


signals = st.builds(RowSignals, st.booleans(), st.booleans(), st.booleans(), st.floats(0, 1), st.none(), st.just(0))


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 200), signals), min_size=1, max_size=40), st.integers(1, 10))
def test_completing_what_is_asked_for_gives_the_true_first_places(
    rows: list[tuple[float, float, RowSignals]], places: int
) -> None:
    """Each retriever lists half of the rows; the rest is asked for only where it could matter."""
    near = sorted((hit(str(i), cosine, row) for i, (cosine, _, row) in enumerate(rows)), key=lambda one: -one.score)
    worded = sorted((hit(str(i), words, row) for i, (_, words, row) in enumerate(rows)), key=lambda one: -one.score)
    half = (len(rows) + 1) // 2
    candidates = Candidates(SCORER)
    candidates.add_near(near[:half])
    candidates.add_worded(worded[:half])
    asked = {key for key, _ in candidates.without_cosine(places=places, below=near[half - 1].score)}
    candidates.complete_near([one for one in near if one.memory_id in asked])
    asked = {key for key, _ in candidates.without_words(places=places, below=worded[half - 1].score)}
    candidates.complete_worded([one for one in worded if one.memory_id in asked])
    listed = {one.memory_id for one in [*near[:half], *worded[:half]]}
    exact = [
        SCORER.scores([(cosine, words, *SCORER.added([row.pack()]))])[0]
        for i, (cosine, words, row) in enumerate(rows)
        if str(i) in listed
    ]
    assert [row.score for row in candidates.ranked()[:places]] == sorted(exact, reverse=True)[:places]
