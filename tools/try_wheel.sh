#!/usr/bin/env bash
# Build the wheel, install it into an empty environment, and run the README's commands from an empty folder.
#
#     bash tools/try_wheel.sh                    # with python3
#     PYTHON=python3.13 bash tools/try_wheel.sh
#     WHEEL=dist/ariel_tf-0.2.0-py3-none-any.whl bash tools/try_wheel.sh      # a wheel that was built before
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset PYTHONPATH

"${PYTHON:-python3}" -m venv "$work/environment"
python="$work/environment/bin/python"
if [ -z "${WHEEL:-}" ]; then
    git -C "$root" archive HEAD | tar -x -C "$work" --one-top-level=source
    "$python" -m pip wheel --quiet --no-deps --wheel-dir "$work/dist" "$work/source"
    WHEEL=$(echo "$work"/dist/*.whl)
fi
"$python" -m pip install --quiet "$WHEEL"

mkdir "$work/empty"
cd "$work/empty"
PATH="$work/environment/bin:$PATH"
ariel --version
ariel --help > /dev/null
ariel simulate data --planets 12 --spots 1 --photons 2 --seed 7 --format both
ariel check data
ariel train --wavelength 12 --epochs 1 --run runs/tiny
ariel predict runs/tiny --light-curves data/noisy_train --out one.csv --combine median
ariel predict --light-curves data/noisy_train --out submission.txt
ariel submission submission.txt --light-curves data/noisy_train --params data/params_train
ariel predict --light-curves data/noisy_train --out spectra.csv
head -c 60 spectra.csv
echo
ariel evaluate runs/tiny
python - <<'PROGRAM'
import ariel_tf

planet = ariel_tf.open_data("data")[1]
table = ariel_tf.load("transit-joint").measure(planet)
print(f"{ariel_tf.__version__} of {ariel_tf.__file__}: {table.shape}")
assert "environment" in ariel_tf.__file__
PROGRAM
echo "the wheel runs: $(basename "$WHEEL"), $("$python" --version)"
