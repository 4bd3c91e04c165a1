"""Search for the best settings of a model.

    python -m tuning.search --model baseline --wavelength 12 --run RUN

keras-tuner selects the values to try; each trial is a training in its own run folder, evaluated by its best score on
the validation folds. Repeat the command to resume an interrupted search, also in the middle of a trial.
"""

from collections.abc import Sequence

from ariel_tf.core import cli, tf_startup
from ariel_tf.core.errors import run_command
from ariel_tf.training.strategy import strategy_of
from tuning.connection import wait_for_chief
from tuning.options import parse_options
from tuning.options import parser as parser


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse_options(cli.given(arguments))
    if options.worker:
        wait_for_chief(options.worker)
    tf_startup.choose_onednn(options.space.base.onednn)
    strategy_of(options.devices)  # devices cannot be chosen once TensorFlow has started
    if options.each:
        from tuning.per_wavelength import search_each

        search_each(options)
        return
    from tuning.study import Study

    study = Study.open(options)
    if options.dry_run:
        study.print_plan()
    elif options.worker:
        study.work()
    else:
        study.run()


if __name__ == "__main__":
    run_command(main)
