"""Feed one parser bad bytes, and print what was tried as JSON.

PYTHONPATH=.:tests python -m support.fuzz NAME [--examples N] [--seed N] [--atheris SECONDS]
"""

import argparse
import contextlib
import json
import tempfile
from pathlib import Path

from ariel_tf.core.tf_startup import import_tensorflow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--atheris", type=int, metavar="SECONDS")
    given = parser.parse_args()
    import_tensorflow(start_devices=False)
    instrument = contextlib.nullcontext()
    if given.atheris:
        import atheris

        instrument = atheris.instrument_imports(include=["ariel_tf", "tuning"])
    with instrument:
        from support.fuzz import drive
        from support.fuzz.targets import targets

        target = targets()[given.name]
    if given.atheris:
        with tempfile.TemporaryDirectory() as folder:
            drive.with_atheris(given.name, target.parse, given.atheris, Path(folder))
    tried, failed = drive.drive(given.name, target, given.examples, given.seed)
    print(json.dumps({"tried": tried, "failed": failed}))


if __name__ == "__main__":
    main()
