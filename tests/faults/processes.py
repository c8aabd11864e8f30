"""Where the processes of the kill tests come from: one server, which has loaded beforehand what they need."""

from __future__ import annotations

import multiprocessing

__all__ = ["PROCESSES"]

PROCESSES = multiprocessing.get_context("forkserver")
# There is one such server and one list: whoever sets another takes these away.
PROCESSES.set_forkserver_preload(
    ["tests.faults.tasks", "tests.faults.queue_process", "boto3", "aws_lambda_powertools.utilities.batch"]
)
