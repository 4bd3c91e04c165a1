"""The simulator against real files, where they are: ARIEL_REAL_DATA, default ../shared/real beside the repository."""

import os
from pathlib import Path

import numpy as np
import pytest

from ariel_tf.challenge import WAVELENGTHS_UM, out_of_transit_scatter
from ariel_tf.physics.detector import RAMP, noise_sigma

ROOT = Path(__file__).resolve().parent.parent
REAL = ROOT / os.environ.get("ARIEL_REAL_DATA", "../shared/real")

pytestmark = pytest.mark.skipif(
    not (REAL / "statistics").is_dir(),
    reason=f"no real data at {REAL}: set ARIEL_REAL_DATA to a folder with noisy_train/, params_train/, statistics/",
)


def real_files():
    return sorted(REAL.glob("noisy_*/*.txt"))


def read(file):
    """Header values and flux [55, 300]."""
    header = [float(line.split(":")[1]) for line in file.read_text().splitlines() if line.startswith("#")]
    return header, np.loadtxt(file)


def test_the_wavelengths_are_the_real_grid():
    np.testing.assert_allclose(np.loadtxt(REAL / "statistics/wavelength_um.txt"), WAVELENGTHS_UM, atol=1e-6)


def test_the_ramp_is_the_real_mean_flux():
    mean = np.loadtxt(REAL / "statistics/flux_mean.txt")[:, :30].mean(axis=0)
    assert np.abs(mean - RAMP[:30]).max() < 150e-6


def test_real_scatter_follows_from_temperature_and_magnitude():
    """Per file, the median over wavelengths within 40 % (stars differ by a grey factor of 17 % rms)."""
    for file in real_files():
        header, flux = read(file)
        ratio = out_of_transit_scatter(flux) / noise_sigma(header[0], header[4])
        assert 0.6 < np.median(ratio) < 1.6, f"{file.name}: {np.median(ratio):.2f}"
        grey = ratio / np.median(ratio)
        assert np.median(np.abs(grey - 1)) < 0.12, file.name


def test_real_noise_is_white():
    for file in real_files():
        _, flux = read(file)
        quiet = flux[:, 238:300]
        noise = (quiet - quiet.mean(axis=1, keepdims=True)) / quiet.std(axis=1, keepdims=True)
        assert np.mean(noise[:, 1:] * noise[:, :-1]) == pytest.approx(-1 / 62, abs=0.06), file.name


def test_the_simulated_population_is_roughly_the_real_one():
    """Loose: 300 planets. The exact table is `python -m benchmarks.simulator_against_real`."""
    from ariel_tf.physics.simulator import Priors
    from benchmarks.simulator_against_real import compare, read_real, simulate

    rows = compare(read_real(REAL), [simulate(1, 300, Priors(), spots=1, photons=1)])
    ratio = {row.quantity: row.ratio for row in rows}
    for name, value in ratio.items():
        if name.startswith("ramp"):
            assert value == pytest.approx(1, abs=0.001), name
        elif name.startswith("star_") or name.startswith("period") or name.startswith("steps where"):
            assert 0.75 < value < 1.3, name
        elif name.startswith("mean depth") or name.startswith("scatter") or "50 %" in name:
            assert 0.6 < value < 1.6, name
