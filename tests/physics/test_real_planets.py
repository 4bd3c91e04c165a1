"""The simulator against real files, where they are (see the fixture `real_data`)."""

import numpy as np
import pytest

from ariel_tf.challenge import WAVELENGTHS_UM
from ariel_tf.physics.detector import RAMP, noise_sigma
from ariel_tf.physics.simulator import Priors
from ariel_tf.planet import out_of_transit_scatter
from benchmarks.simulator_against_real import compare, read_real, simulate


def files(folder):
    """(name, header values, flux [55, 300]) of each real file at hand."""
    for file in sorted(folder.glob("noisy_*/*.txt"))[:6]:
        header = [float(line.split(":")[1]) for line in file.read_text().splitlines() if line.startswith("#")]
        yield file.name, header, np.loadtxt(file)


def test_the_wavelengths_are_the_real_grid(real_data):
    np.testing.assert_allclose(np.loadtxt(real_data / "statistics/wavelength_um.txt"), WAVELENGTHS_UM, atol=1e-6)


def test_the_ramp_is_the_real_mean_flux(real_data):
    mean = np.loadtxt(real_data / "statistics/flux_mean.txt")[:, :30].mean(axis=0)
    assert np.abs(mean - RAMP[:30]).max() < 150e-6


def test_real_scatter_follows_from_temperature_and_magnitude(real_data):
    """A star's own factor (17 % rms) aside, bands agree to 12 % in the median."""
    for name, header, flux in files(real_data):
        ratio = out_of_transit_scatter(flux) / noise_sigma(header[0], header[4])
        assert 0.6 < np.median(ratio) < 1.6, f"{name}: {np.median(ratio):.2f}"
        assert np.median(np.abs(ratio / np.median(ratio) - 1)) < 0.12, name


def test_real_noise_is_white(real_data):
    for name, _, flux in files(real_data):
        quiet = flux[:, 238:300]
        noise = (quiet - quiet.mean(axis=1, keepdims=True)) / quiet.std(axis=1, keepdims=True)
        assert np.mean(noise[:, 1:] * noise[:, :-1]) == pytest.approx(-1 / 62, abs=0.06), name


def test_the_simulated_population_is_roughly_the_real_one(real_data):
    """Loose: 300 planets. The exact table is `python -m benchmarks.simulator_against_real`."""
    rows = compare(read_real(real_data), [simulate(1, 300, Priors(), spots=1, photons=1)])
    for row in rows:
        if row.quantity.startswith("ramp"):
            assert row.ratio == pytest.approx(1, abs=0.001), row.quantity
        elif row.quantity.startswith(("star_", "period", "steps where")):
            assert 0.75 < row.ratio < 1.3, row.quantity
        elif row.quantity.startswith(("mean depth", "scatter")) or "50 %" in row.quantity:
            assert 0.6 < row.ratio < 1.6, row.quantity
