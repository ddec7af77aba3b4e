"""Runs the cases of the load tester. See `run`."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Integration"))
import runner  # noqa: E402

MODULES = ["proofs", "reports", "workers", "agents", "interrupts", "remedies", "comparisons"]

runner.run(runner.load(MODULES), sys.argv[1:], "the load tester's cases")
