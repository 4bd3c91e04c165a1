"""Search for a model's best settings: `python -m tuning.search --model baseline --wavelength 12 --run RUN`.

keras-tuner decides what to try; each trial is one of our own trainings in a run folder of its own, judged by
its best score on the validation folds. The same command again goes on, in the middle of a trial if need be.

    RUN/trials.csv, best.json, best.keras, history.png, parallel.png, values.png, README.md
        trials/0000 ...    a run folder each
        outcomes/, oracle/, logs/    what became of each trial, keras-tuner's state, what the trainings printed

TensorFlow is imported inside functions, once every mistake in an option has been found.
"""

import dataclasses
import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.config.targets import Targets
from ariel_tf.core import processes
from ariel_tf.core.atomic_files import read_json
from ariel_tf.core.devices import parse_devices
from ariel_tf.core.errors import ArielError, UsageError, run_command
from ariel_tf.runs.folder import RunFolder
from ariel_tf.training import distribute
from ariel_tf.training import job as training_job
from tuning import outcomes
from tuning.options import ALONE, Plan, plan_from, without_jobs
from tuning.outcomes import COMPLETED, Outcome
from tuning.space import Space


def main(arguments: Sequence[str] | None = None) -> None:
    plan, several, dry = plan_from(sys.argv[1:] if arguments is None else list(arguments))
    if several:
        distribute.strategy_of(plan.devices)
        from tuning.per_wavelength import search_each

        search_each(plan, several, dry)
    else:
        search(plan, dry)


class NothingCompleted(ArielError):
    """Every trial failed."""


def search(plan: Plan, dry: bool = False) -> None:
    """Search, or go on, to the end.

    Raises:
        ArielError: whatever the user can mend, in one sentence.
    """
    strategy = distribute.strategy_of(plan.devices)
    from ariel_tf.data.sources import open_source
    from tuning.space import reveal

    distribute.check_batch(strategy, plan.space.base.batch_size)
    hp = reveal(plan.space)  # a mistyped setting should not wait for the data
    source = open_source(plan.space.base.data, seen(plan.space))
    search_on(source, hp, plan, dry)


def seen(space: Space) -> tuple[int, ...]:
    """Wavelengths whose light curves some trial may see."""
    channels = next((d.choices for d in space.options() if d.name == "channels"), (space.base.channels,))
    return tuple(range(N_WAVELENGTHS)) if "all" in channels else space.base.targets


def search_on(source, hp, plan: Plan, dry: bool = False) -> list[Outcome]:
    """Search on a source that is open; the trials."""
    from ariel_tf.data.sources.subset import there_are
    from tuning import report
    from tuning.trial import Bench
    from tuning.wandb_log import tracker

    base = plan.space.base
    training_job.check_folds(source, base)
    for one in plan.space.options():
        if one.name == "planets":
            there_are(source, base.train_folds, int(max((*one.choices, one.high))))
    about = describe(source, hp, plan)
    path = plan.path or default_path(about, source.fingerprint)
    if dry:
        print(json.dumps(about, indent=2))
        print(f"would search in {path}, {plan.trials} trials at most; nothing was written")
        return []
    bench = Bench(source, plan.space, path, plan.command, plan.devices, track=tracker(plan.track, path))
    if plan.worker:
        follow(bench, hp, plan, about)
        return []
    with RunFolder(path, about, source.fingerprint, plan.overwrite) as run:
        run.commit(trials=plan.trials)
        print(f"searching {', '.join(about['space'])} of {base.model}, {base.what}, in {path}", flush=True)
        oracle = prepare_oracle(hp, plan, path)
        lead(bench, oracle, plan)
        train_best_to_its_end(bench, oracle)
        told = report.finish(path, about, plan.command)
        print("\n".join(told[:2] if plan.brief else told), flush=True)
        found = outcomes.read_all(path)
        if not outcomes.best(found):
            raise NothingCompleted(f"{path}: no trial was completed.")
        run.commit(finished=True)
        return found


def lead(bench, oracle, plan: Plan) -> None:
    """Try what the oracle says, here or by workers, until it has no more."""
    from tuning import report

    teller = report.Teller(bench.run, plan.trials)
    if plan.jobs > 1:
        from tuning import crew, workers

        command = [sys.executable, "-m", "tuning.search", *without_jobs(plan.arguments), "--run", str(bench.run)]
        if parse_devices(plan.devices).kind != "cpu":
            command += ["--devices", "auto"]  # of the GPU that a worker's environment shows it
        command += ["--wavelength", str(bench.space.base.wavelength)]  # of --each, this one
        hands = crew.Crew(plan.jobs, command, bench.run / "logs", processes.shares(plan.jobs, plan.devices))
        workers.supervise(oracle, hands, teller.tell)
    elif plan.chief:
        from tuning import workers

        print(f"waiting for workers: this command with --worker {plan.chief} instead of --chief", flush=True)
        workers.serve(oracle, plan.chief, teller.tell)
    else:
        bench.watch = teller.tell
        work(bench, oracle, ALONE, lambda outcome: teller.tell())


def follow(bench, hp, plan: Plan, about: Mapping[str, Any]) -> None:
    """Train what a chief decides.

    Raises:
        UsageError: the chief's search is another one, or not in this folder.
    """
    from tuning import workers
    from tuning.oracles import make_oracle

    assert plan.worker is not None
    processes.stop_with_parent()
    deadline = time.monotonic() + workers.CHIEF_SILENCE
    while not (bench.run / "config.json").is_file():
        if time.monotonic() > deadline:
            raise UsageError(f"--run {bench.run}: expected the folder of the chief's search, on a disk that both see.")
        time.sleep(1)
    theirs = read_json(bench.run / "config.json", dict)
    differing = [n for n in sorted({*theirs, *about}) if theirs.get(n) != about.get(n) and n not in ("data", "first")]
    if differing:
        raise UsageError(
            f"--run {bench.run}: the chief searches with another {differing[0]}, {theirs.get(differing[0])}; give a "
            f"worker the same options. Received: {about.get(differing[0])}"
        )
    base = plan.space.base
    oracle = make_oracle(plan.algorithm, hp, plan.trials, base.epochs, base.seed)
    client = workers.connect(plan.worker, plan.worker_name, oracle)
    work(bench, client, plan.worker_name, lambda outcome: print(f"trial {outcome.trial} {outcome.status}", flush=True))


def describe(source, hp, plan: Plan) -> dict[str, Any]:
    """The search's configuration: the base's values, and what is searched; a search of another one is refused."""
    base, space = plan.space.base, {}
    for one in hp.space:
        config = one.get_config()
        if "values" in config:
            space[one.name] = "|".join(map(str, config["values"]))
        elif "min_value" in config:
            space[one.name] = f"{config['min_value']:g}:{config['max_value']:g} ({config['sampling']})"
        else:
            space[one.name] = "true|false"
    first = {"first": [dict(values) for values in plan.first]} if plan.first else {}
    return base.as_json() | {"data": source.description, "algorithm": plan.algorithm, "space": space, **first}


def default_path(about: Mapping[str, Any], fingerprint: str) -> Path:
    digest = hashlib.sha256(json.dumps([about, fingerprint], sort_keys=True).encode()).hexdigest()
    return Path("runs") / f"search-{about['model']}-{Targets.of_run(about['wavelength']).folder_name}-{digest[:8]}"


def prepare_oracle(hp, plan: Plan, path: Path):
    """keras-tuner's oracle of this search, at the state where it was left."""
    from tuning.oracles import make_oracle

    defaults = {one.name: one.default for one in hp.space}
    first = (defaults, *plan.first)  # so the search never ends below a training without it, as far as validation tells
    base = plan.space.base
    draws = base.seed + 1000 * base.targets[0]  # other ones at each wavelength of --each
    oracle = make_oracle(plan.algorithm, hp, plan.trials, base.epochs, draws, first)
    for name in ("outcomes", "logs", "trials", "oracle"):
        (path / name).mkdir(exist_ok=True)
    oracle.place(path)
    return oracle


def work(bench, oracle, name: str, tell: Callable[[Outcome], None]) -> None:
    """Run trials until the oracle, here or at a chief, has no more.

    Args:
        bench: to train on.
        oracle: keras-tuner's, or its client.
        name: that the oracle knows this worker by: after a restart under the same name it goes on with its trial.
        tell: called with each outcome.
    """
    from keras_tuner.engine.trial import TrialStatus

    from tuning.oracles import OBJECTIVE

    while True:
        trial = oracle.create_trial(name)
        if trial.status == TrialStatus.STOPPED:
            return
        if trial.status == TrialStatus.IDLE:
            time.sleep(0.5)
            continue
        outcome = bench.try_out(trial)
        if outcome.status == COMPLETED:
            oracle.update_trial(trial.trial_id, {OBJECTIVE: outcome.score}, step=outcome.best_epoch)
            trial.status = TrialStatus.COMPLETED
        else:
            trial.status, trial.message = TrialStatus.FAILED, outcome.reason
        oracle.end_trial(trial)
        tell(outcome)


def train_best_to_its_end(bench, oracle) -> None:
    """The best of Hyperband's trials may have been a short one: give it the epochs that a training has."""
    epochs = bench.space.base.epochs
    while True:
        best = outcomes.best(outcomes.read_all(bench.run))
        if best is None or best.plan.get("tuner/epochs", epochs) >= epochs:
            return
        print(f"training trial {best.trial}, the best, to its end: {best.epochs} of {epochs} epochs so far", flush=True)
        trial = next(trial for name, trial in oracle.trials.items() if int(name) == best.trial)
        outcomes.write(bench.run, dataclasses.replace(best, plan=best.plan | {"tuner/epochs": epochs}))
        ended = bench.try_out(trial)
        if ended.status != COMPLETED:  # it stays what it was before
            outcomes.write(bench.run, dataclasses.replace(best, plan=best.plan | {"tuner/epochs": epochs}))


if __name__ == "__main__":
    run_command(main)
