"""Runs that only pretend to train: what each epoch saves depends on the epoch alone, so thousands of them are cheap.

support.pretended_run RUN      as a command: five epochs, then the scores
"""

from pathlib import Path

from ariel_tf.core import atomic_files
from ariel_tf.runs.folder import RunFolder

CONFIGURATION = {"model": "baseline", "wavelength": 12, "data": "here", "test_folds": [9], "epochs": 9, "settings": {}}
# Validation scores of the epochs; epoch 4 is the best.
SCORES = (9000.25, 9100.5, 9050.125, 9300.0, 9200.75)


def opened(path, fingerprint="abc", **options):
    return RunFolder(path, CONFIGURATION, fingerprint, **options)


def train(path, epochs=5, **options):
    """Resume or start a run that only pretends to train: what each epoch saves depends on the epoch alone."""
    with opened(path, **options) as run:
        run.write_meta({"command": "train"}, {})
        for epoch in range(run.fall_back() + 1, epochs + 1):
            save(run, epoch)
        return run.state


def save(run, epoch):
    name = run.checkpoint_name(epoch)
    atomic_files.write_text(run.path / name, f"weights {epoch}")
    run.rows.append({"epoch": epoch, "loss": 0.1 / epoch, "val_score": SCORES[epoch - 1]})
    run.write_rows()
    best = max(run.rows, key=lambda row: row["val_score"])
    files = [name, "metrics.csv"]
    if best["epoch"] > run.state["best_epoch"]:
        atomic_files.write_text(run.path / "best.keras", f"model {epoch}")
        files.append("best.keras")
    run.commit(tuple(files), epoch=epoch, best_epoch=int(best["epoch"]), best_score=best["val_score"])


def finish(path):
    train(path)
    with opened(path) as run:
        scores = {"test": {"observation": 9000.0, "planet": 9100.0}, "test_planets": 2}
        atomic_files.write_json(path / "scores.json", scores)
        run.commit(("scores.json",), finished=True)


def main(arguments):
    finish(Path(arguments[0]))
