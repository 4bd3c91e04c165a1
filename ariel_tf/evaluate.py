"""Score a trained model: `python -m ariel_tf.evaluate RUN [--data DATA] [--folds 9]`.

Without options it scores the run's own test folds again. The table of planets shows each one's error in
transit depth, the quantity that the challenge's score averages.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ariel_tf.data.bigquery import address
from ariel_tf.data.folds import N_FOLDS, parse_folds
from ariel_tf.errors import DataError, run_command

PLANETS_SHOWN = 20


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m ariel_tf.evaluate", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a trained model")
    parser.add_argument("--data", help="folder of shards and manifest, or simulated[:...] (default: the run's)")
    parser.add_argument("--folds", help="like 8,9 or all (default: the test folds; of other data all)")
    address.add_flags(parser)
    options = parser.parse_args(arguments)
    folds = parse_folds(options.folds, "--folds") if options.folds else None
    evaluate(options.run, address.with_flags(options.data, options), folds)


def evaluate(path: Path, data: str | None, folds: tuple[int, ...] | None) -> None:
    """Print scores per observation and per planet.

    Args:
        path: run folder.
        data: what `--data` says; None for the run's own.
        folds: to score; None for the run's test folds, or for all folds of data that it was not trained on.

    Raises:
        ArielError: no such run, data without radii, or no planet in these folds.
    """
    from ariel_tf.quiet import import_tensorflow

    import_tensorflow()
    from ariel_tf.data.sources import open_source
    from ariel_tf.rows import rows_for
    from ariel_tf.training import card
    from ariel_tf.training.scoring import Predictions
    from ariel_tf.training.trained import Trained

    trained = Trained.load(path)
    source = open_source(data or trained.data, trained.seen)
    if not source.labelled:
        raise DataError(f"{source.description}: its radii are unknown; use `python -m ariel_tf.predict`.")
    own = source.fingerprint == trained.fingerprint
    if not (own or data):
        raise DataError(
            f"{source.description}: changed since {path} was trained on it, so its planets may stand in other folds. "
            "Name it with --data to score it as any other data."
        )
    if folds is None:
        folds = trained.test_folds if own else tuple(range(N_FOLDS))
    predictions = Predictions.collect(trained, rows_for(trained, source, folds))
    planets = predictions.by_planet()
    print(f"{path} on {len(planets.keys)} planets, {len(predictions.keys)} observations of {source.description}")
    print(standing(trained, folds) if own else "  none of it is the data set that the model was trained on")
    for name, value in predictions.scores().items():
        print(f"  {card.LABELS[name]:46s}{value:9.1f}")
    print_planets(planets, trained.targets)


def standing(trained, folds: Sequence[int]) -> str:
    """What these folds of a run's own data were to its training, in words."""
    roles = {"trained on": trained.train_folds, "the best epoch chosen by": trained.validation_folds}
    seen = [f"{role} {sorted({*folds} & {*its})}" for role, its in roles.items() if {*folds} & {*its}]
    return f"  folds {list(folds)}; {', '.join(seen)}: no test score" if seen else f"  test folds {list(folds)}"


def print_planets(planets, wavelengths: Sequence[int]) -> None:
    """A line a planet and wavelength: true and predicted radius, error in depth."""
    for column, wavelength in enumerate(wavelengths):
        print(f"wavelength {wavelength}\n  planet  true Rp/Rs  predicted  depth error (ppm)")
        for key, true, predicted in list(
            zip(planets.keys[:, 0], planets.true[:, column], planets.predicted[:, column], strict=True)
        )[:PLANETS_SHOWN]:
            print(f"  {key:04d}    {true:.6f}    {predicted:.6f}   {1e6 * 2 * true * (predicted - true):+12.1f}")
        if (more := len(planets.keys) - PLANETS_SHOWN) > 0:
            print(f"  ... and {more} more")


if __name__ == "__main__":
    run_command(main)
