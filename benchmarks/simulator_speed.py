"""Speed and accuracy of the simulator: observations per second on one core, ppm from batman.

python -m benchmarks.simulator_speed
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy starts its threads: rates are per core

import time

import batman
import numpy as np

from ariel_tf.challenge import MID_TRANSIT_STEP, N_STEPS, N_WAVELENGTHS
from ariel_tf.physics.planets import sky_position
from ariel_tf.physics.simulator import Priors, System, draw_system, simulate_planet
from ariel_tf.physics.transit import blocked_flux, stellar_flux


def observations_per_second(spots: int, photons: int, planets: int) -> tuple[float, float]:
    """Return rates per second of elapsed time and of CPU time, everything included."""
    wall, processor = time.perf_counter(), time.process_time()
    for number in range(planets):
        simulate_planet(1, number, spots, photons)
    n = planets * spots * photons
    return n / (time.perf_counter() - wall), n / (time.process_time() - processor)


def batman_error(system: System) -> float:
    """Return the largest difference from batman over all bands and steps, without noise and spots, in ppm."""
    period = float(system.star[5])
    distance = np.hypot(*sky_position(period, system.scaled_axis, system.impact))
    blocked = blocked_flux(distance, system.radii, system.u1, system.u2)
    ours = 1 - blocked / stellar_flux(system.u1, system.u2)[:, None]
    orbit = batman.TransitParams()
    orbit.t0, orbit.per, orbit.a, orbit.ecc, orbit.w = 0.0, period, system.scaled_axis, 0.0, 90.0
    orbit.inc = np.degrees(np.arccos(system.impact / system.scaled_axis))
    orbit.limb_dark = "quadratic"
    days = (np.arange(N_STEPS) - MID_TRANSIT_STEP) / 1440
    worst = 0.0
    for w in range(N_WAVELENGTHS):
        orbit.rp, orbit.u = system.radii[w], [system.u1[w], system.u2[w]]
        theirs = batman.TransitModel(orbit, days, nthreads=1).light_curve(orbit)
        worst = max(worst, 1e6 * float(np.abs(ours[w] - theirs).max()))
    return worst


def main() -> None:
    print("| spots x photons | observations/s, wall clock | per second of processor time |\n|---|---|---|")
    for spots, photons, planets in ((2, 4, 300), (2, 10, 150), (10, 10, 30)):
        wall, processor = observations_per_second(spots, photons, planets)
        print(f"| {spots} x {photons} | {wall:,.0f} | {processor:,.0f} |")
    errors = np.array([batman_error(draw_system(1, number, Priors())) for number in range(300)])
    print(
        f"\nLargest difference from batman over 300 planets x 55 wavelengths x 300 steps: {errors.max():.1f} ppm "
        f"(median planet {np.median(errors):.1f} ppm)."
    )


if __name__ == "__main__":
    main()
