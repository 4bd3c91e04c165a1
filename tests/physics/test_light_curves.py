"""Many planets at once: the same light curves as the simulator's, from the same star, planet and spots."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS
from ariel_tf.core.errors import UsageError
from ariel_tf.physics import light_curves, population, shadow_table, simulator, spots, transit
from ariel_tf.physics.priors import Priors
from ariel_tf.physics.stream import Stream

PRIORS = Priors()
SEED = 5


@pytest.fixture(scope="module")
def systems():
    return [simulator.draw_system(SEED, number, PRIORS) for number in range(60)]


def as_population(systems):
    """The simulator's systems as arrays."""
    columns = ("star", "scaled_axis", "impact", "radii", "u1", "u2", "spot_fill", "sigma")
    return population.Population(*(np.array([getattr(one, name) for one in systems]) for name in columns))


def as_maps(systems, instances):
    """The simulator's spots of the first instances, as arrays, without leaving any out."""
    drawn = [
        [
            spots.draw_spots(
                simulator._generator(SEED, number, simulator._SPOTS, spot + 1),
                one.spot_fill, float(one.star[0]), one.u1, one.u2, PRIORS,
            )
            for spot in range(instances)
        ]
        for number, one in enumerate(systems)
    ]  # fmt: skip
    most = max(sum(len(each.x) for each in star) for star in drawn)
    filled = np.zeros((4, len(systems), most))
    instance = np.zeros((len(systems), most), int)
    contrast, area = np.zeros((len(systems), instances, N_WAVELENGTHS)), np.zeros((len(systems), instances, 3))
    for row, (one, star) in enumerate(zip(systems, drawn, strict=True)):
        x, y, radius, size = (np.concatenate([getattr(s, n) for s in star]) for n in ("x", "y", "radius", "area"))
        which = np.repeat(np.arange(instances), [len(each.x) for each in star])
        mu = np.sqrt(np.maximum(1 - x**2 - y**2, 0))
        filled[:, row, : len(x)] = x, y, radius, mu
        instance[row, : len(x)] = which
        for index, each in enumerate(star):
            if len(each.x):
                its = mu[which == index]
                bright = 1 - one.u1 * (1 - its[0]) - one.u2 * (1 - its[0]) ** 2
                contrast[row, index] = each.loss[:, 0] / bright
                area[row, index] = [(size[which == index] * (1 - its) ** power).sum() for power in range(3)]
    return population.SpotMaps(contrast, area, *filled, instance)


def test_the_table_is_the_integral_over_the_planet_s_shadow():
    rng = np.random.default_rng(0)
    for radius in np.exp(rng.uniform(np.log(0.01), np.log(0.7), 12)):
        distance = np.r_[rng.uniform(0, 1.01 + radius, 200), 1 - radius + rng.uniform(-0.01, 0.01, 50)]
        exact = transit.shadow_moments(distance, np.array([radius]), arcs=256)[:, 0].T
        found = shadow_table.moments(distance[None].astype(np.float32), np.array([[radius]], np.float32))[0, 0]
        u1, u2 = 0.5, 0.2
        blocked = [part[:, 0] - u1 * part[:, 1] - u2 * part[:, 2] for part in (exact, found)]
        assert np.abs(blocked[0] - blocked[1]).max() < 1e-4 * radius**2 + 3e-8  # float32 near the contacts


def test_light_curves_are_those_of_the_simulator(systems):
    rows = light_curves.rows_of(as_population(systems), as_maps(systems, 1), np.ones((60, 1)), np.ones(60))
    expected = np.stack([simulator.clean_curves(one, SEED, number, 1, PRIORS)[0] for number, one in enumerate(systems)])
    found = np.concatenate([light_curves.clean_curves({k: v[i : i + 1] for k, v in rows.items()}) for i in range(60)])
    depth = np.array([one.radii.max() ** 2 for one in systems])
    error = np.abs(found - expected).max(axis=(1, 2)) / depth
    assert np.median(error) < 3e-4  # the simulator's own integral is no better
    assert error.max() < 4e-3


def test_a_pool_is_the_mean_of_its_observations(systems):
    some = systems[:6]
    weights = np.array([0.5, 0.3, 0.2])
    rows = light_curves.rows_of(as_population(some), as_maps(some, 3), np.tile(weights, (6, 1)), np.ones(6))
    found = np.concatenate([light_curves.clean_curves({k: v[i : i + 1] for k, v in rows.items()}) for i in range(6)])
    for number, one in enumerate(some):
        each = simulator.clean_curves(one, SEED, number, 3, PRIORS)
        expected = np.tensordot(weights, each, axes=1)
        assert np.abs(found[number] - expected).max() < 4e-3 * one.radii.max() ** 2


def test_the_population_is_the_simulator_s():
    many = population.draw_population(np.random.default_rng(0), 6000, PRIORS)
    few = as_population([simulator.draw_system(9, number, PRIORS) for number in range(1200)])
    columns = {"impact": many.impact, "axis": many.scaled_axis, "fill": many.spot_fill}
    others = {"impact": few.impact, "axis": few.scaled_axis, "fill": few.spot_fill}
    for name, place in (("temperature", 0), ("magnitude", 4), ("period", 5)):
        columns[name], others[name] = many.star[:, place], few.star[:, place]
    for band in (0, 20, 54):
        columns[f"radius {band}"], others[f"radius {band}"] = many.radii[:, band], few.radii[:, band]
        columns[f"noise {band}"], others[f"noise {band}"] = many.sigma[:, band], few.sigma[:, band]
        columns[f"u1 {band}"], others[f"u1 {band}"] = many.u1[:, band], few.u1[:, band]
    for name, values in columns.items():
        assert ks_2samp(values, others[name]).pvalue > 1e-3, name  # the same numbers in each run


def test_spots_of_many_stars_are_distributed_as_those_of_one():
    rng = np.random.default_rng(1)
    many = population.draw_population(rng, 1500, PRIORS)
    maps = population.draw_spot_maps(rng, many, 2, PRIORS)
    covered = maps.area[:, :, 0].mean() / np.pi
    expected = np.mean(np.minimum(many.spot_fill, 0.2)) * np.exp(PRIORS.spot_fill_instance**2 / 2)
    assert covered == pytest.approx(expected, rel=0.1)
    assert ((maps.contrast > 0) & (maps.contrast < 1)).all()
    assert set(np.unique(maps.instance)) == {0, 1}
    near = maps.radius > 0
    assert near.any()
    assert (np.hypot(maps.x, maps.y)[near] <= 1).all()


def test_a_block_of_a_stream_depends_on_seed_and_number_alone():
    stream = Stream(3, rows=24)
    first, again = stream.block(7), Stream(3, rows=24).block(7)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert first.flux.shape == (24, N_STEPS, N_WAVELENGTHS)
    assert first.flux.dtype == np.float32
    assert not np.array_equal(first.radii, stream.block(8).radii)
    assert not np.array_equal(first.radii, Stream(4, rows=24).block(7).radii)


def test_noise_falls_with_the_pool():
    quiet, loud = Stream(3, rows=40, pool=100).block(0), Stream(3, rows=40, pool=1).block(0)
    np.testing.assert_array_equal(quiet.radii, loud.radii)
    scatter = [np.diff(one.flux[:, 240:], axis=1).std(axis=1) for one in (quiet, loud)]
    np.testing.assert_allclose(np.median(scatter[1] / scatter[0]), 10, rtol=0.03)


def test_priors_without_an_observable_planet_are_refused():
    with pytest.raises(UsageError, match="no observable planet"):
        population.draw_population(np.random.default_rng(0), 2, Priors(duration_low=182.9999))
