"""Try commands at their file-system steps, and print a table.

PYTHONPATH=.:tests python -m support.steps [--most N] [COMMAND ...]
"""

import argparse
import contextlib
import os
import sys
import tempfile
from pathlib import Path

from support import bigquery_emulator
from support.steps.scenarios import REMOTE, SCENARIOS
from support.steps.server import Server, memory_folder
from support.steps.trials import Trials, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="COMMAND", help=", ".join(SCENARIOS))
    parser.add_argument("--most", type=int, help="trials of each command")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    reports = []
    names = given.names or list(SCENARIOS)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(memory_folder())
        if {*names} & {*REMOTE}:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            os.environ |= stack.enter_context(bigquery_emulator.running(home)).environment
        server = stack.enter_context(Server())
        for name in names:
            report = Trials(server, SCENARIOS[name], Path(folder)).run(given.most or SCENARIOS[name].most, given.seed)
            reports.append(report)
            print("\n".join([*report.failed, f"{name}: by name only: {report.by_name}"]), flush=True)
            print(table([report]), flush=True)
    print(table(reports))
    sys.exit(any(report.failed for report in reports))


if __name__ == "__main__":
    main()
