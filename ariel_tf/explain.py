"""Show which parts of a planet's light curves a prediction depends on.

    python -m ariel_tf.explain RUN --planet 52 --out explain.png
    python -m ariel_tf.explain transit-joint --data noisy_test --planet 72 --json

For each part of the light curves in turn (a few bands by twelve minutes), the dip is filled up to the level outside the
transit and the planet is predicted again; the change of the predicted depth is printed and drawn. RUN is any run
folder, or transit-joint, the model included in the package.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ariel_tf.core import cli
from ariel_tf.core.errors import run_command
from ariel_tf.core.figures import refuse_picture_path
from ariel_tf.core.json_output import json_output
from ariel_tf.core.schema import Schema, option
from ariel_tf.data.bigquery import address


class Options(Schema):
    """Options of `python -m ariel_tf.explain`."""

    run: Path = option(..., "run folder, or transit-joint", metavar="RUN", positional=True)
    data: str | None = cli.data(shown="the data of the run")
    planet: int = option(..., "planet number", metavar="N")
    spot: int = option(1, "spot instance", metavar="N")
    photon: int = option(1, "photon-noise instance", metavar="N")
    out: Path | None = cli.out("PNG, SVG or PDF file to write", default=None)
    json_object: bool = cli.as_json("the change caused by each part")


def parser() -> cli.Parser:
    examples = ["runs/transit --planet 52 --out explain.png", "transit-joint --data noisy_test --planet 72"]
    made = cli.Parser("ariel_tf.explain", __doc__, Options, examples=examples)
    address.add_flags(made)
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    given = parser().parse_args(arguments)
    options = Options.from_flags(given)
    if options.out is not None:
        refuse_picture_path(options.out)
    with json_output(options.json_object) as result:
        explain(options.replace(data=address.with_flags(options.data, given)), result)


def explain(options: Options, result: dict[str, Any]) -> None:
    """Print and draw the changes.

    Args:
        options: options of the command.
        result: filled with the content of --json.

    Raises:
        ArielError: an error that the user can mend, in one sentence.
    """
    from ariel_tf.core.tf_startup import import_tensorflow

    import_tensorflow()
    from ariel_tf.data.planets import Data
    from ariel_tf.evaluation import attribution
    from ariel_tf.evaluation.held_out import own_data
    from ariel_tf.runs.predictor import Predictor

    trained = Predictor.load(options.run)
    data = Data(options.data or own_data(trained))
    found = attribution.attribution(trained, data[options.planet], options.spot, options.photon)
    print("\n".join(attribution.lines(found)))
    result |= {"run": options.run, "data": data.source.description, **attribution.as_dictionary(found)}
    if options.out is not None:
        attribution.draw(found, f"{options.run.name}: {found.name} of {data.source.description}", options.out)
        print(options.out)


if __name__ == "__main__":
    run_command(main)
