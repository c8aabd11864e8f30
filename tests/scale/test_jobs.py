"""No run of a job, portion or check costs more because there are more memories: it is bounded, and the next goes on."""

from __future__ import annotations

import pytest

from tests.scale.comparing import JOB_MOST, compare
from tests.scale.job_cases import JOB_CASES
from tests.scale.stage import Stage

pytestmark = [pytest.mark.timeout(900)]


@pytest.mark.parametrize("name", JOB_CASES)
def test_a_job_costs_the_same_in_a_larger_ledger(stages: tuple[Stage, Stage], name: str) -> None:
    case = JOB_CASES[name]
    compare(stages, lambda stage, most: stage.run(case, most), JOB_MOST, counts=case.counts)
