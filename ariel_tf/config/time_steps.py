"""`--steps`: the time steps, of the 300 of a light curve, that a model reads. No TensorFlow."""

import random
from collections.abc import Sequence

from ariel_tf.challenge import N_STEPS
from ariel_tf.core.errors import UsageError
from ariel_tf.core.numbers import whole_number, whole_numbers


def parse_steps(text: str, seed: int = 0) -> Sequence[int]:
    """Parse time steps in any of their forms; the result is ascending.

    `99:200` gives range(99, 200), `::3` every third step, `9,5` (5, 9), and `random:100` a hundred drawn from the seed.

    Raises:
        UsageError: another form, a step outside 0-300, or no steps.
    """
    word, _, count = text.partition(":")
    number = whole_number(count)
    if word == "random" and number is not None and 1 <= number <= N_STEPS:
        return tuple(sorted(random.Random(seed).sample(range(N_STEPS), number)))
    steps = whole_numbers(text) or ()
    if 1 < len(steps) == len(set(steps)) and max(steps) < N_STEPS:
        return tuple(sorted(steps))
    parts = text.split(":")
    try:
        numbers = [int(part) if part else None for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) in (2, 3):
        start, stop, every = [*numbers, None][:3]
        start = 0 if start is None else start
        stop = N_STEPS if stop is None else stop
        every = 1 if every is None else every
        if 0 <= start < stop <= N_STEPS and every >= 1:
            return range(start, stop, every)
    raise UsageError(
        f"--steps: expected START:STOP[:EVERY] with 0 <= START < STOP <= {N_STEPS}, different steps like 5,9,12, or "
        f"random:N. Received: {text}"
    )


def format_steps(steps: Sequence[int]) -> str:
    """Return steps as the shortest text that `parse_steps` reads back: `99:200`, `0:300:3`, `5,9,12`."""
    if isinstance(steps, range):
        return f"{steps.start}:{steps.stop}" + (f":{steps.step}" if steps.step > 1 else "")
    return ",".join(map(str, steps))
