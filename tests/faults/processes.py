"""Starts the processes of the kill tests from one fork server, which has loaded their modules."""

from __future__ import annotations

import multiprocessing

__all__ = ["PROCESSES"]

PROCESSES = multiprocessing.get_context("forkserver")
# There is one such server and one list of modules; setting another list replaces this one.
PROCESSES.set_forkserver_preload(
    [
        "tests.faults.tasks",
        "tests.faults.bulk_scenarios",
        "tests.faults.queue_process",
        "tests.faults.transfer_process",
        "tests.faults.warm_clients",
        "aws_lambda_powertools.utilities.batch",
    ]
)
