"""The start of an environment: what must differ between environments restored from one SnapStart snapshot."""

from __future__ import annotations

import random

from awslambdaric.lambda_runtime_hooks_runner import run_after_restore
from snapshot_restore_py import get_after_restore, get_before_snapshot

from forgetless.runtime.settings import load_settings
from forgetless.runtime.start import prepare_snapshots


def test_environments_restored_from_one_snapshot_draw_different_numbers() -> None:
    hooks, first = get_after_restore(), get_before_snapshot()
    before, first_before = list(hooks), list(first)
    try:
        prepare_snapshots(load_settings({}))
        assert (len(hooks), len(first)) == (len(before) + 1, len(first_before) + 1)
        snapshot = random.getstate()
        drawn = []
        for _ in range(3):
            random.setstate(snapshot)
            run_after_restore()  # as Lambda's runtime does it
            drawn.append(random.random())
    finally:
        hooks[:], first[:] = before, first_before
    random.setstate(snapshot)
    assert len({*drawn, random.random()}) == 4
