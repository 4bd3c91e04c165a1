"""The folder of a search, made by hand: three trials, the second of which is the best and the third failed."""

import keras_tuner

from ariel_tf.core.atomic_files import sha256, write_json
from ariel_tf.runs.state import write_state
from tuning import oracles, outcomes, report
from tuning.outcomes import COMPLETED, FAILED, Outcome
from tuning.recovery import recover
from tuning.safe_oracle import OBJECTIVE

SCORES = [[9000.5, 9100.25], [9200.75, 9150.0], []]
RATES = [0.001, 0.02, 0.003]
REASON = "loss is nan after epoch 1."


def outcome_of(trial):
    values, scores = {"learning_rate": RATES[trial]}, SCORES[trial]
    if not scores:
        return Outcome(trial, FAILED, values, f"{trial:04d}", reason=REASON, starts=(0,))
    best = scores.index(max(scores)) + 1
    return Outcome(
        trial, COMPLETED, values, f"{trial:04d}", score=max(scores), best_epoch=best, epochs=2, seconds=4.0, starts=(0,)
    )


def make_trial(run, trial):
    """The run folder of a trial, as far as recovery reads it."""
    folder = run / "trials" / f"{trial:04d}"
    (folder / "checkpoints").mkdir(parents=True)
    write_json(folder / "config.json", {"model": "baseline", "settings": {"learning_rate": RATES[trial]}})
    (folder / "best.keras").write_bytes(b"model %d" % trial)
    rows = [f"{epoch},{score!r},2.0" for epoch, score in enumerate(SCORES[trial], 1)]
    (folder / "metrics.csv").write_text("\n".join(["epoch,val_score,seconds", *rows, ""]))
    outcome = outcome_of(trial)
    files = {name: sha256(folder / name) for name in ("config.json", "best.keras", "metrics.csv")}
    state = {"epoch": len(SCORES[trial]), "best_epoch": outcome.best_epoch, "best_score": outcome.score}
    write_state(folder, state | {"finished": False, "files": files})


def make_oracle(run):
    hp = keras_tuner.HyperParameters()
    hp.Float("learning_rate", 1e-4, 3e-2, sampling="log", default=1e-3)
    oracle = oracles.make_oracle("random", hp, trials=3, epochs=2, seed=0, first=[{"learning_rate": r} for r in RATES])
    oracle.place(run)
    return oracle


def make_search(run):
    """A search of three trials that ended.

    Args:
        run: an empty folder.
    """
    write_json(run / "config.json", {"algorithm": "random", "space": {"learning_rate": "0.0001:0.03 (log)"}})
    for name in ("outcomes", "trials", "oracle"):
        (run / name).mkdir()
    oracle = make_oracle(run)
    for number in range(3):
        trial = oracle.create_trial("one")
        outcome = outcome_of(number)
        make_trial(run, number)
        outcomes.write(run, outcome)
        trial.status, trial.message = "FAILED", outcome.reason
        if outcome.status == COMPLETED:
            oracle.update_trial(trial.trial_id, {OBJECTIVE: outcome.score}, step=outcome.best_epoch)
            trial.status, trial.message = "COMPLETED", None
        oracle.end_trial(trial)
    recover(run)
    report.update(run)
    return run


def results(run):
    """What a search goes on from: outcomes, but for their starts and seconds, and keras-tuner's trials."""
    found = [
        (one.trial, one.status, one.values, one.score, one.best_epoch, one.epochs) for one in outcomes.read_all(run)
    ]
    trials = make_oracle(run).trials.values()
    return found, [(one.trial_id, one.status, one.hyperparameters.values, one.score) for one in trials]
