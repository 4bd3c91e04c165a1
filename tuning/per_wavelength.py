"""A search for each of several wavelengths, which share their results: `--wavelength all --each`.

    RUN/w00 ... w54      an ordinary search each
        wavelengths.csv  the best values of each wavelength
        README.md        the same as a page

The middle wavelength is searched first, with all `--trials`; then the middles of the two halves, with half as many
each, then those of the quarters, and so on. Each search first tries the best values of the nearest wavelengths before
it, so it needs fewer trials of its own; none gets fewer than `FEWEST`.
"""

import csv
import dataclasses
import io
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ariel_tf.challenge import WAVELENGTHS_UM
from ariel_tf.config.targets import Targets
from ariel_tf.core.atomic_files import read_json, write_text
from ariel_tf.core.errors import UsageError
from ariel_tf.data.remote import naming
from ariel_tf.data.sources import open_source
from ariel_tf.runs import model_card
from ariel_tf.runs.folder import RunFolder
from ariel_tf.runs.work_queue import folder_of
from tuning import outcomes
from tuning.hyperparameters import reveal, wavelengths_read
from tuning.options import SearchOptions
from tuning.outcomes import Outcome
from tuning.study import NothingCompleted, Study, default_path

SEEDS = 3  # number of best values from the nearest wavelengths that each search tries first
FEWEST = 2 + SEEDS  # trials: the defaults, the seeds, and one of its own


def generations(chosen: Sequence[int]) -> list[list[int]]:
    """Return the middle one, then the middles of what remains on either side, and so on.

    >>> generations(range(7))
    [[3], [1, 5], [0, 2, 4, 6]]
    """
    parts, found = [list(chosen)], []
    while parts:
        found.append([part[len(part) // 2] for part in parts])
        halves = [half for part in parts for half in (part[: len(part) // 2], part[len(part) // 2 + 1 :])]
        parts = [half for half in halves if half]
    return found


def budget(trials: int, generation: int) -> int:
    """Return the trials of each wavelength of a generation: half as many as in the one before, at least `FEWEST`.

    >>> [budget(40, generation) for generation in range(5)]
    [40, 20, 10, 5, 5]
    """
    return max(trials >> generation, min(FEWEST, trials))


def search_each(options: SearchOptions) -> None:
    """Search, or resume, for each wavelength of `options.each`.

    Raises:
        ArielError: an error that the user can mend, in one sentence.
    """
    chosen = options.each
    bases = {w: options.space.base.replace(wavelength=Targets.one(w)) for w in chosen}
    spaces = {w: dataclasses.replace(options.space, base=base) for w, base in bases.items()}
    hyperparameters = reveal(options.space)
    read = sorted({w for base in bases.values() for w in wavelengths_read(base, hyperparameters)})
    source = open_source(options.space.base.data, read)
    configuration = Study(options, source, hyperparameters).configuration | {"wavelength": str(Targets.each(chosen))}
    path = options.path or default_path(configuration, source.fingerprint)
    order = [(w, budget(options.trials, number)) for number, some in enumerate(generations(chosen)) for w in some]
    if options.dry_run:
        print("\n".join(f"wavelength {w:2d}: {trials} trials" for w, trials in order))
        print(f"would search in {path}, {sum(trials for _, trials in order)} trials at most; nothing was written")
        return
    found: dict[int, Outcome] = {}
    with RunFolder(path, configuration, source.fingerprint, options.overwrite) as run:
        run.commit(trials=options.trials)
        for w, trials in order:
            near = sorted(found, key=lambda other: (abs(other - w), other))[:SEEDS]
            one = dataclasses.replace(
                options,
                space=spaces[w],
                trials=trials,
                path=folder_of(path, w),
                overwrite=False,
                first=tuple(found[other].values for other in near),
                each=(),
                brief=True,
            )
            try:
                best = outcomes.best(Study(one, source, reveal(spaces[w])).run())
            except NothingCompleted as error:  # the other wavelengths continue
                print(error, flush=True)
                continue
            assert best is not None
            found[w] = best
            write_summary(path, found, options.command)
        if not found:
            raise UsageError(f"{path}: no trial of any wavelength was completed; see {path}/w*/trials.csv.")
        run.commit(finished=True)
    print("\n".join(report_lines(path, found)))


def write_summary(path: Path, found: Mapping[int, Outcome], command: str) -> None:
    """Write wavelengths.csv and README.md of the wavelengths that are done."""
    names = list(dict.fromkeys(name for outcome in found.values() for name in outcome.values))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["wavelength", "um", "score", "trial", "best_epoch", *names])
    rows = []
    for w, best in sorted(found.items()):
        values: list[Any] = [best.values.get(name, "") for name in names]
        table.writerow([w, WAVELENGTHS_UM[w], best.score, best.trial, best.best_epoch, *values])
        cells = [f"[{w:02d}](w{w:02d}/README.md)", f"{WAVELENGTHS_UM[w]:.3f}", f"{best.score:.1f}", *map(str, values)]
        rows.append(cells)
    write_text(path / "wavelengths.csv", text.getvalue())
    card = model_card.page(
        "Searches, one for each wavelength",
        model_card.table(["wavelength", "um", "validation score", *names], rows),
        "To train the best trial of each wavelength again:",
        model_card.code_block([retrain_loop(path)]),
        "To resume:",
        model_card.code_block([command]),
    )
    write_text(path / "README.md", card)


def retrain_loop(path: Path) -> str:
    """Return the shell command that trains the best configuration of each wavelength."""
    config = read_json(path / "config.json", dict)
    train = shlex.join(["python", "-m", "ariel_tf.train", *naming(config["data"], config["model"])])
    return f"for w in {shlex.quote(str(path))}/w??; do {train} --config $w/best.json --run $w/best; done"


def report_lines(path: Path, found: Mapping[int, Outcome]) -> list[str]:
    """Return the lines that the command prints at the end."""
    lines = ["wavelength      um   validation   chosen"]
    for w, best in sorted(found.items()):
        lines.append(
            f"        {w:02d}  {WAVELENGTHS_UM[w]:6.3f}   {best.score:10.1f}   {outcomes.format_values(best.values)}"
        )
    mean = sum(best.score or 0.0 for best in found.values()) / len(found)
    return [
        *lines,
        f"mean validation score of {len(found)} wavelengths: {mean:.1f}",
        f"table        {path / 'wavelengths.csv'}",
        f"model card   {path / 'README.md'}",
        "No trial used the test folds. To train each one's best again, and score it on them:",
        f"  {retrain_loop(path)}",
    ]
