"""The suite fails when a check is removed that keeps tenants or keys apart, or that SECURITY.md promises otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tenancy.mutating import FAILED, PASSED, run_mutated
from tests.tenancy.mutation import PACKAGES, Mutation
from tests.tenancy.mutations import MUTATIONS, QUICK


def _marked(mutation: Mutation) -> object:
    # The others run in `make test-mutations`.
    marks = [pytest.mark.slow] if mutation in QUICK else [pytest.mark.mutations]
    return pytest.param(mutation, id=mutation.name, marks=marks)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("mutation", [_marked(mutation) for mutation in MUTATIONS])
def test_a_missing_check_is_noticed(tmp_path: Path, mutation: Mutation) -> None:
    code, output = run_mutated(tmp_path, mutation)
    assert code == FAILED, f"{mutation.name}: the tests do not notice ({code})\n{output}"


@pytest.mark.mutations
@pytest.mark.timeout(400)
@pytest.mark.parametrize("tests", sorted({mutation.tests for mutation in MUTATIONS}), ids=" ".join)
def test_the_same_tests_pass_without_a_mutation(tmp_path: Path, tests: tuple[str, ...]) -> None:
    mutation = next(mutation for mutation in MUTATIONS if mutation.tests == tests)
    code, output = run_mutated(tmp_path, mutation, mutated=False)
    assert code == PASSED, output


def test_every_mutation_still_has_its_text() -> None:
    for mutation in MUTATIONS:
        text = (PACKAGES[mutation.package] / mutation.file).read_text(encoding="utf-8")
        assert text.count(mutation.old) == 1, f"{mutation.name}: write its new text into mutations.py"
