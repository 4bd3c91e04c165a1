"""Write pickles in the layout of the ESA Datalabs releases of the challenge's data, from simulated or made-up planets.

    python -m benchmarks.datalabs_pickles OUT --planets 8 --spots 10 --photons 10 --copies 10
    python -m benchmarks.datalabs_pickles OUT --made-up --pandas --protocol 4

    OUT/ADC21esac_train.pkl, ADC21esac_test.pkl          hackathon 2025: one dict each, tables by `to_dict`
    OUT/train_X_data.pkl, train_X_params.pkl,            workshop 2024: tables are pandas objects
        train_y_data.pkl, train_y_params.pkl, test_X_data.pkl, test_X_params.pkl

Made-up planets are exact in binary, so every version of NumPy writes the same numbers. tests/data/pickles holds what

    for each environment with another pandas and NumPy:
        PYTHONPATH=. ENVIRONMENT/bin/python -m benchmarks.datalabs_pickles OUT --made-up --pandas
        tar -C OUT -cJf tests/data/pickles/pandas-VERSION-numpy-VERSION.tar.xz .

made; NumPy and pandas are all that it takes.
"""

import argparse
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS, ORBIT_PARAMETERS, STAR_NAMES
from ariel_tf.planet import Planet

KEY_NAMES = ["planet", "stellar_spot", "photon"]
ORBIT_NAMES = [parameter.name for parameter in ORBIT_PARAMETERS]


def made_up_planet(number: int, instances: Sequence[tuple[int, int]]) -> Planet:
    """Return a planet whose numbers are sums of few powers of two."""
    wavelength, row, step = np.ogrid[:N_WAVELENGTHS, : len(instances), :N_STEPS]
    flux = 1 - (abs(step - 148) < 40) / 64 + ((7 * step + 3 * wavelength + 5 * row + number) % 17 - 8) / 4096
    return Planet.from_observations(
        number,
        instances=np.array(instances),
        star=np.array([4096.5, 4.5, 0.75, 0.8125, 10.25, 3.5]) + number % 4 / 8,
        flux=flux,
        orbit=np.array([2.0**33, 88.5]),
        radii=(8 + np.arange(N_WAVELENGTHS) % 4 + number % 8) / 128,
    )


def made_up_planets() -> list[Planet]:
    """Return planets with missing instances and large numbers."""
    return [made_up_planet(1, [(1, 1), (1, 3)]), made_up_planet(4381, [(2, 10)]), made_up_planet(9999, [(1, 1)])]


def simulated_planets(count: int, spots: int, photons: int, copies: int) -> list[Planet]:
    """Return simulated planets, each several times under different numbers, to make a large file quickly."""
    from ariel_tf.physics.simulator import simulate_planet

    planets = [simulate_planet(0, number, spots, photons) for number in range(1, count + 1)]
    return [replace(planet, number=planet.number + count * copy) for copy in range(copies) for planet in planets]


def tables(planets: Sequence[Planet], labelled: bool) -> dict[str, Any]:
    """Return X_params, y_params, planet and obs_to_fname as pandas objects; without targets y_params is None."""
    import pandas as pd

    rows = [(f"{key.name}.txt", *key, *planet.star, *planet.orbit) for planet in planets for key in planet.keys]
    table = pd.DataFrame(rows, columns=["file", *KEY_NAMES, *STAR_NAMES, *ORBIT_NAMES]).set_index("file")
    star = table[[*KEY_NAMES, *STAR_NAMES]]
    orbit = table[[*KEY_NAMES, *ORBIT_NAMES]]
    known = [*STAR_NAMES, *(ORBIT_NAMES if labelled else ())]
    return {
        "X_params": star,
        "y_params": orbit if labelled else None,
        "planet": table.drop_duplicates("planet").set_index("planet")[known],
        "obs_to_fname": table.reset_index().set_index(KEY_NAMES)["file"],
    }


def exported(table: Any) -> Any:
    """Return a table or a series without pandas, as (to_dict(), index name or names)."""
    names = table.index.names
    return table.to_dict(), names[0] if len(names) == 1 else tuple(names)


def arrays(planets: Sequence[Planet]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return X and y: float64 [55, 300] and [55] by file name."""
    curves, radii = {}, {}
    for planet in planets:
        for row, key in enumerate(planet.keys):
            curves[f"{key.name}.txt"] = np.ascontiguousarray(planet.flux[:, row], np.float64)
            radii[f"{key.name}.txt"] = planet.radii.copy()
    return curves, radii


def hackathon(planets: Sequence[Planet], labelled: bool, pandas_objects: bool = False) -> dict[str, Any]:
    """Return the content of ADC21esac_train.pkl (labelled) or ADC21esac_test.pkl."""
    curves, radii = arrays(planets)
    made = tables(planets, labelled)
    if not pandas_objects:
        made = {name: None if table is None else exported(table) for name, table in made.items()}
    if not labelled:
        del made["y_params"]
    kind = "train" if labelled else "test"
    numbers = np.array([planet.number for planet in planets])
    return {
        "dataset_name": f"ADC21esac_{kind}",
        "planet_idxs": numbers,
        **made,
        "X": curves,
        "y": radii if labelled else None,
    }


def workshop(planets: Sequence[Planet], labelled: bool) -> dict[str, Any]:
    """Return the contents of the files train_*.pkl (labelled) or test_*.pkl by name."""
    curves, radii = arrays(planets)
    made = tables(planets, labelled)
    if not labelled:
        return {"test_X_data": curves, "test_X_params": made["X_params"]}
    return {
        "train_X_data": curves,
        "train_X_params": made["X_params"],
        "train_y_data": radii,
        "train_y_params": made["y_params"],
    }


def write(folder: Path, planets: Sequence[Planet], pandas_objects: bool, protocol: int) -> None:
    """Write the files of both releases."""
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, Any] = {}
    for labelled in (True, False):
        made = hackathon(planets, labelled, pandas_objects and not labelled)
        files |= {made["dataset_name"]: made, **workshop(planets, labelled)}
    for name, value in files.items():
        with open(folder / f"{name}.pkl", "wb") as file:
            pickle.dump(value, file, protocol)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--planets", type=int, default=8, help="simulated (default: 8)")
    parser.add_argument("--spots", type=int, default=10, help="spot instances of each planet (default: 10)")
    parser.add_argument("--photons", type=int, default=10, help="photon-noise instances of each spot (default: 10)")
    parser.add_argument("--copies", type=int, default=1, help="copies of each planet, under other numbers (default: 1)")
    parser.add_argument("--made-up", action="store_true", help="three small planets that are exact in binary")
    parser.add_argument("--pandas", action="store_true", help="pandas objects in ADC21esac_test.pkl, too")
    parser.add_argument("--protocol", type=int, default=pickle.DEFAULT_PROTOCOL, help="pickle protocol, 0 to 5")
    given = parser.parse_args()
    made_up = given.made_up
    planets = (
        made_up_planets() if made_up else simulated_planets(given.planets, given.spots, given.photons, given.copies)
    )
    write(given.out, planets, given.pandas, given.protocol)


if __name__ == "__main__":
    main()
