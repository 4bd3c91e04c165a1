"""The results of a search: table, configuration and model of the best trial, plots and README."""

import shlex
import shutil
from pathlib import Path
from typing import Any

from ariel_tf.core import messages
from ariel_tf.core.atomic_files import read_json, replacing, write_text
from ariel_tf.core.resources import TimeLeft
from ariel_tf.data.remote import naming
from ariel_tf.runs import model_card
from tuning import outcomes, pictures
from tuning.outcomes import COMPLETED, FAILED, RUNNING, Outcome


def update(run: Path) -> list[Outcome]:
    """Update `trials.csv`, `best.json` and `best.keras` from the trials' outcomes, and return these."""
    all_ = outcomes.read_all(run)
    outcomes.write_table(run, all_, read_json(run / "config.json", dict)["space"])
    best = outcomes.best(all_)
    if best:
        for source, name in (("config.json", "best.json"), ("best.keras", "best.keras")):
            keep_copy(run / "trials" / best.run / source, run / name)
    return all_


class ProgressReporter:
    """Prints a line for each finished trial, and keeps the search's files up to date.

    Args:
        run: folder of the search.
        trials: maximum number of trials.
    """

    def __init__(self, run: Path, trials: int):
        self.run, self.trials = run, trials
        self.reported = {outcome.trial for outcome in outcomes.read_all(run) if outcome.status != RUNNING}
        self.left = TimeLeft(len(self.reported))

    def update(self) -> None:
        all_ = update(self.run)
        for outcome in all_:
            if outcome.status != RUNNING and outcome.trial not in self.reported:
                self.reported.add(outcome.trial)
                left = self.left(len(self.reported), self.trials)
                messages.info(trial_line(outcome, all_, self.trials) + f"  {left}" * bool(left))


def keep_copy(source: Path, target: Path) -> None:
    """Copy a file atomically, unless the same content is there."""
    if not target.is_file() or target.read_bytes() != source.read_bytes():
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)


def trial_line(outcome: Outcome, all_: list[Outcome], trials: int) -> str:
    """Return the line to print when a trial has finished."""
    head = f"trial {outcome.trial:4d} of {trials}  "
    tail = f"{outcome.seconds:6.1f} s  {outcomes.format_values(outcome.values)}"
    if outcome.status == FAILED:
        return f"{head}failed: {outcome.reason}  {tail}"
    best = outcomes.best(all_)
    mark = "  best" if best and best.trial == outcome.trial else ""
    return f"{head}val_score {outcome.score:9.1f}  epoch {outcome.best_epoch} of {outcome.epochs}  {tail}{mark}"


def retrain_command(run: Path) -> str:
    return _train_command(run, "best")


def score_command(run: Path, best: Outcome) -> str:
    return _train_command(run, f"trials/{best.run}")


def _train_command(run: Path, name: str) -> str:
    """Return the command that trains the best configuration of a search in one of its folders."""
    config = read_json(run / "config.json", dict)
    train = ["python", "-m", "ariel_tf.train", "--config", f"{run}/best.json"]
    return shlex.join([*train, *naming(config["data"], config["model"]), "--run", f"{run}/{name}"])


def finish(run: Path, about: dict[str, Any], command: str) -> list[str]:
    """Draw the plots and write RUN/README.md; return the lines to print at the end of the command.

    Args:
        about: configuration of the search.
        command: command that repeats the search.
    """
    all_ = update(run)
    best = outcomes.best(all_)
    scored = [outcome for outcome in all_ if outcome.status == COMPLETED]
    if not best:
        reasons = {outcome.reason for outcome in all_ if outcome.reason}
        return [f"no trial of {len(all_)} was completed; see {run / 'trials.csv'}", *sorted(reasons)]
    pictures.draw(run, scored, [name for name, range_ in about["space"].items() if range_.endswith("(log)")])
    write_text(run / "README.md", card(run, about, all_, best, command))
    failed = len(all_) - len(scored)
    return [
        f"{len(all_)} trials{f', {failed} of them failed' if failed else ''}; best: trial {best.trial}, validation "
        f"score {best.score:.1f}",
        f"  {outcomes.format_values(best.values)}",
        f"table        {run / 'trials.csv'}",
        f"pictures     {run / 'history.png'}, {run / 'parallel.png'}, {run / 'values.png'}",
        f"model        {run / 'best.keras'}",
        f"TensorBoard  tensorboard --logdir {shlex.quote(str(run / 'trials'))}   (tab HPARAMS)",
        "No trial used the test folds. To score the best one on them, or to train it again:",
        f"  {score_command(run, best)}",
        f"  {retrain_command(run)}",
    ]


def card(run: Path, about: dict[str, Any], all_: list[Outcome], best: Outcome, command: str) -> str:
    """Return the README.md of a search.

    Args:
        run: folder of the search.
        about: configuration of the search.
        all_: outcomes of all trials.
        best: the best one.
        command: command that repeats the search.
    """
    top = sorted((o for o in all_ if o.status == COMPLETED), key=lambda o: (-(o.score or 0.0), o.trial))[:10]
    names = list(best.values)
    rows = [
        [
            f"[{o.trial}](trials/{o.run})",
            f"{o.score:.1f}",
            f"{o.best_epoch} of {o.epochs}",
            *(o.values.get(name, "") for name in names),
        ]
        for o in top
    ]
    failed = "\n".join(f"- trial {o.trial}: {o.reason}" for o in all_ if o.status == FAILED)
    return model_card.page(
        f"Search: {about['model']}, wavelength {about['wavelength']}",
        f"{len(all_)} trials by {about['algorithm']} search. Each was trained on the training folds; its score is the "
        f"best one on the validation folds {about['validation_folds']} (10,000 is perfect). The best of many trials is "
        "partly luck on those planets. No trial used the test folds, so only they show how good it is. This command "
        "scores the best trial on them:",
        model_card.code_block([score_command(run, best)]),
        "This command trains it again from the start:",
        model_card.code_block([retrain_command(run)]),
        model_card.pictures(
            {
                "scores in the order of the trials": "history.png",
                "values and score of each trial": "parallel.png",
                "score against each value": "values.png",
            }
        ),
        "## The ten best",
        model_card.table(["trial", "validation score", "best epoch", *names], rows),
        f"## Failed\n\n{failed}" if failed else "",
        "To resume the search, or to run more `--trials`:",
        model_card.code_block([command]),
    )
