"""The start of an environment: what must differ between environments restored from one SnapStart snapshot."""

from __future__ import annotations

import random

from awslambdaric.lambda_runtime_hooks_runner import run_after_restore
from snapshot_restore_py import get_after_restore

from forgetless.runtime.start import reseed_after_restore


def test_environments_restored_from_one_snapshot_draw_different_numbers() -> None:
    hooks = get_after_restore()
    before = list(hooks)
    try:
        reseed_after_restore()
        assert len(hooks) == len(before) + 1
        snapshot = random.getstate()
        drawn = []
        for _ in range(3):
            random.setstate(snapshot)
            run_after_restore()  # as Lambda's runtime does it
            drawn.append(random.random())
    finally:
        hooks[:] = before
    random.setstate(snapshot)
    assert len({*drawn, random.random()}) == 4
