"""Prior distributions of the simulator for stars, planets, spots and noise: every parameter, its unit, its source."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Self

from ariel_tf.core.errors import UsageError, nearest


@dataclass(frozen=True)
class Priors:
    """Parameters of a simulated population; `docs/simulator.md` compares it with the real training set.

    "Tuned" below means: chosen so that the population agrees with the real training set's statistics
    (`python -m benchmarks.simulator_against_real`). All values are plain floats, so that `dataclasses.asdict` of them
    can be part of a data set's fingerprint.
    """

    # --- stars -------------------------------------------------------------------------------------------
    temperature_low: float = 3104.0  # K, the real train set's extremes
    temperature_high: float = 6996.0  # K
    temperature_alpha: float = 1.35  # shape of a beta distribution between them, tuned (real: 4911 +- 983 K)
    temperature_beta: float = 1.6
    mass_spread: float = 0.13  # standard deviation of ln mass about the main sequence
    radius_spread: float = 0.03  # of ln radius
    evolved_above: float = 5000.0  # K, cooler stars have not had the time to leave the main sequence
    evolved_spread: float = 0.19  # half-normal scale of ln radius added by evolution, tuned
    k_magnitude_faint_end: float = 13.5  # mag, the real train set's faintest is 13.47
    k_magnitude_shape: float = 3.5  # faint end minus K is gamma-distributed, tuned (real: 10.52 +- 1.63)
    k_magnitude_scale: float = 0.86  # mag

    # --- planets and orbits ------------------------------------------------------------------------------
    period_median: float = 6.85  # days, tuned (real: 6.40 +- 6.00)
    period_spread: float = 0.9  # of ln period
    period_low: float = 0.3  # days, the real train set's extremes
    period_high: float = 68.1  # days
    giant_share: float = 0.237  # of planets around stars hotter than `giant_host`, tuned
    giant_share_cool: float = 0.02  # of planets around cooler stars (giants are rare there)
    giant_host: float = 3900.0  # K
    giant_radius: float = 9.9  # Earth radii
    giant_spread: float = 0.22  # of ln radius
    small_radius: float = 2.9  # Earth radii, tuned
    small_slope: float = 0.26  # power of the star's radius in the median: wide stars hide their smallest planets
    small_spread: float = 0.48  # of ln radius
    relative_radius_low: float = 0.0148  # Rp/Rs in the clearest band, tuned (1.7 % of the 2019 targets are smaller)
    relative_radius_high: float = 0.3  # Rp/Rs, the largest 2019 target at .55 um
    impact_high: float = 1.0  # impact parameter, uniform from 0 (the two labelled real planets have .50 and .79)
    duration_low: float = 34.0  # minutes from first to last contact, tuned
    duration_high: float = 183.0  # minutes: the real mean dip ends sharply at steps 60 and 236
    duration_widest: float = 220.0  # minutes in the band where the planet is widest: real flux is quiet before step 40

    # --- transmission spectra ----------------------------------------------------------------------------
    # x = 1 - (radius in the clearest band) / (radius in the most opaque one), log-normal; fitted to the 2019 targets
    atmosphere_median: float = 0.118  # of x at Rp/Rs = .05
    atmosphere_spread: float = 0.48  # of ln x
    atmosphere_slope: float = -1.05  # power of Rp/Rs in the median: smaller planets hold their atmospheres less tightly
    # A few small planets have atmospheres that hardly end, with x near or above 1: 9 of the 457 targets of 2019 with
    # Rp/Rs below .03 at .55 um are wider than .18 at 7.8 um.
    extended_share: float = 0.038  # of the planets below `extended_below`, before selection by duration; tuned
    extended_below: float = 0.03  # Rp/Rs in the clearest band
    extended_low: float = 0.85  # x, uniform
    extended_high: float = 1.3
    edge_median: float = 0.68  # Rp/Rs where such atmospheres end (the largest 2019 target is .668)
    edge_spread: float = 0.2  # of ln edge
    cloud_low: float = -1.5  # log10 of the grey optical depth of clouds, uniform; the scale of `spectra.OPACITIES`
    cloud_high: float = 1.5

    # --- limb darkening and spots ------------------------------------------------------------------------
    limb_darkening_spread: float = 0.08  # of ln of the linear coefficient
    spot_fill_median: float = 0.02  # share of the star's face that spots cover
    spot_fill_spread: float = 0.9  # of ln fill, star to star
    spot_fill_cool: float = 1.6  # times as much on stars cooler than 4000 K
    spot_fill_high: float = 0.12  # a star's mean fill is cut there
    spot_fill_instance: float = 0.35  # of ln fill, from one spot instance of a star to another
    spot_radius_median: float = 0.04  # stellar radii
    spot_radius_spread: float = 0.5  # of ln radius

    # --- detector ----------------------------------------------------------------------------------------
    noise_spread: float = 0.17  # of ln of a star's photon noise about the fitted table (6 real files)

    @classmethod
    def parse(cls, settings: Iterable[str]) -> Self:
        """Parse texts like `impact_high=0.9`; other parameters have their defaults.

        Raises:
            UsageError: an unknown parameter, or a value that is not a number.

        >>> Priors.parse(["impact_high=0.9"]) == Priors(impact_high=0.9)
        True
        """
        values: dict[str, float] = {}
        known = [item.name for item in fields(cls)]
        for setting in settings:
            name, equals, text = setting.partition("=")
            if equals and name not in known:
                raise UsageError(f"--prior: expected one of {', '.join(known)}. Received: {name}{nearest(name, known)}")
            try:
                values[name] = float(text)
            except ValueError:
                values[name] = math.nan
            if not math.isfinite(values[name]):
                raise UsageError(f"--prior: expected NAME=NUMBER, like impact_high=0.9. Received: {setting}")
        return cls(**values)

    def changes(self) -> dict[str, float]:
        """Return the parameters that differ from their defaults."""
        return {item.name: value for item in fields(self) if (value := getattr(self, item.name)) != item.default}
