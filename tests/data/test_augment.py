"""Augmented rows are other observations of the same planet: symmetric, noisier or averaged, and seeded."""

import numpy as np
import pytest
import tensorflow as tf

from ariel_tf.challenge import MID_TRANSIT_STEP
from ariel_tf.data.augment import Augment, mirrored, noisier
from ariel_tf.physics.detector import RAMP
from ariel_tf.planet import out_of_transit_scatter

KEY = tf.constant([1, 2])
STEPS = np.arange(300)


def transit(n, noise=0.0, seed=0):
    """Symmetrical transits with the ramp, flux [n, 300, 1]."""
    dip = 0.01 / (1 + np.exp((np.abs(STEPS - MID_TRANSIT_STEP) - 60) / 4))
    white = noise * np.random.default_rng(seed).standard_normal((n, 300))
    return (((1 - dip) * RAMP + white)[:, :, None]).astype(np.float32)


def test_a_symmetrical_transit_is_its_own_mirror_image_and_the_ramp_stays():
    flux = transit(40)
    np.testing.assert_allclose(mirrored(flux, KEY), flux, atol=3.3e-4)  # half a step of the steepest slope


def test_half_of_the_rows_are_reversed_and_their_steps_only_change_places():
    flux = transit(400) * (1 + 0.001 * (STEPS > 200)[:, None])
    image = mirrored(flux.astype(np.float32), KEY).numpy()
    changed = np.abs(image - flux).max(axis=(1, 2)) > 5e-4
    assert 0.4 < changed.mean() < 0.6
    row = np.flatnonzero(changed)[0]
    before, after = flux[row, :, 0] / RAMP, image[row, :, 0] / RAMP
    assert any(np.allclose(after[:296], before[twice - STEPS[:296]], atol=1e-6) for twice in (295, 296))


def test_noise_grows_by_up_to_its_own_size_and_nothing_else_changes():
    flux = transit(500, noise=0.002)
    more = noisier(flux, KEY).numpy()
    ratio = out_of_transit_scatter(more[:, :, 0]) / out_of_transit_scatter(flux[:, :, 0])
    # share uniform in 0-1: the mean of 1 + share^2 is 4/3, its largest 2
    assert np.mean(ratio**2) == pytest.approx(4 / 3, rel=0.05)
    assert ratio.max() < 1.75
    assert np.abs(more.mean(axis=(0, 2)) - flux.mean(axis=(0, 2))).max() < 0.001


def rows():
    keys = np.array([(p, s, i) for p in (3, 12) for s in (1, 2) for i in (1, 2, 3)], np.int32)
    number = np.arange(len(keys), dtype=np.float32)[:, None, None]
    return {"key": tf.constant(keys), "flux": tf.constant(np.broadcast_to(number, (len(keys), 300, 1)).copy())}


def test_a_mixed_row_is_the_mean_with_a_sibling_of_its_planet_and_spot():
    table = rows()
    augment = Augment(["mix"], 0, table)
    seen = set()
    for step in range(40):
        mixed = augment(tf.constant(step, tf.int64), table)["flux"].numpy()[:, 0, 0]
        siblings = 2 * mixed - np.arange(12)
        assert (siblings // 3 == np.arange(12) // 3).all()
        seen |= set(siblings.tolist())
    assert seen == set(range(12))


def test_what_is_drawn_depends_on_seed_and_step_alone():
    table = rows() | {"flux": tf.constant(transit(12, noise=0.002))}

    def draw(seed, step):
        return Augment(["mix", "noise", "mirror"], seed, table)(tf.constant(step, tf.int64), table)["flux"].numpy()

    np.testing.assert_array_equal(draw(1, 5), draw(1, 5))
    assert (draw(1, 5) != draw(1, 6)).any()
    assert (draw(1, 5) != draw(2, 5)).any()
