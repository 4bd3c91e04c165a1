"""Shared by all tests: a small made-up planet, and where the real files lie."""

import gc
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from support import forks, pictures, promises
from support.bigquery_emulator import Emulator, running
from support.tiny_runs import TinyRuns

from ariel_tf.challenge import N_STEPS, N_WAVELENGTHS
from ariel_tf.core import figures
from ariel_tf.core.tf_startup import import_tensorflow
from ariel_tf.data.bigquery.address import Address
from ariel_tf.planet import Planet


def pytest_configure(config: pytest.Config) -> None:
    """Two logical CPUs, before anything starts TensorFlow's devices: what replicas run on; and no pictures.

    Byte code is kept, whatever the environment says: many processes import the same modules, and compiling the tests
    costs more than importing TensorFlow.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return  # its workers run the tests
    Figure.savefig = pictures.save_dot
    figures.draw = pictures.draw_dot
    tensorflow = import_tensorflow(start_devices=False, any_backend=True)
    forks.start()
    cpu = tensorflow.config.list_physical_devices("CPU")[0]
    tensorflow.config.set_logical_device_configuration(cpu, [tensorflow.config.LogicalDeviceConfiguration()] * 2)


def pytest_unconfigure() -> None:
    forks.stop()


def pytest_collection_finish() -> None:
    """Leave the imported modules' objects out of garbage collection: TensorFlow and Keras have a million of them."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter) -> None:
    """The table of what `make soak` tried."""
    if promises.ROWS:
        terminalreporter.section("promises")
        for line in promises.lines():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def make_planet() -> Callable[..., Planet]:
    """A function (number, observations=2, labelled=True) -> Planet: noise with a box-shaped transit."""

    def make(number: int, observations: int = 2, labelled: bool = True) -> Planet:
        rng = np.random.default_rng(number)
        radii = rng.uniform(0.02, 0.15, N_WAVELENGTHS)
        flux = rng.normal(1, 0.005, (N_WAVELENGTHS, observations, N_STEPS))
        flux[:, :, 120:176] -= radii[:, None, None] ** 2
        return Planet.from_observations(
            number,
            instances=np.array([(1 + i // 10, 1 + i % 10) for i in range(observations)]),
            star=rng.uniform([3100, 3.5, 0.1, 0.1, 7, 0.3], [7000, 5, 3, 2, 13, 60]),
            flux=flux,
            orbit=np.array([1e10, 88.5]) if labelled else None,
            radii=radii if labelled else None,
        )

    return make


@pytest.fixture(scope="session")
def emulator(tmp_path_factory) -> Iterator[Emulator]:
    """A BigQuery emulator, one for all tests; the environment tells clients where it is."""
    with running(tmp_path_factory.mktemp("emulator")) as started, pytest.MonkeyPatch.context() as patch:
        for name, value in started.environment.items():
            patch.setenv(name, value)
        yield started


@pytest.fixture(scope="session")
def bigquery_shards(tmp_path_factory, make_planet) -> Path:
    """Data sets to upload: `train`, 21 planets of 2 observations, two a shard; `test`, 11 others without radii."""
    from ariel_tf.data.shards import BYTES_A_ROW
    from ariel_tf.data.writer import DatasetWriter

    folder = tmp_path_factory.mktemp("shards")
    for name, numbers, labelled in (("train", range(1, 22), True), ("test", range(30, 41), False)):
        settings = {"labelled": labelled, "fold_seed": 0, "shard_bytes": int(2.5 * 2 * BYTES_A_ROW)}
        with DatasetWriter(folder / name, dict.fromkeys(numbers, 2), **settings) as writer:
            for number in writer.pending:
                writer.add(number, make_planet(number, labelled=labelled))
            writer.finish({"kind": "made up"})
    return folder


@pytest.fixture(scope="session")
def uploaded(emulator, bigquery_shards) -> str:
    """The address of the training planets of `bigquery_shards`, uploaded."""
    from pipelines import upload

    upload.main([str(bigquery_shards / "train"), "--project", "proj", "--dataset", "train"])
    return "bigquery://proj/train"


@pytest.fixture(scope="session")
def same_planets() -> Callable[..., None]:
    """A function (records, records) that fails unless both yield the same planets in the same order."""

    def same(ours, theirs) -> None:
        ours, theirs = list(ours.as_numpy_iterator()), list(theirs.as_numpy_iterator())
        assert len(ours) == len(theirs) > 0
        for one, other in zip(ours, theirs, strict=True):
            assert one.keys() == other.keys()
            for name in one:
                assert one[name].dtype == other[name].dtype
                np.testing.assert_array_equal(one[name], other[name])

    return same


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory) -> TinyRuns:
    """A function (*options, into=None) -> the folder of a finished run, trained once for these options."""
    return TinyRuns(tmp_path_factory.mktemp("tiny_runs"))


@pytest.fixture(scope="module")
def pretended_training() -> Iterator[None]:
    """Trainings of this module take no step, nor do stacks: see `support.pretended`."""
    from support import pretended

    with pretended.trainings(stacks=False):
        yield


@pytest.fixture
def pretended_training_here() -> Iterator[None]:
    """Trainings of this test take no step: see `support.pretended`."""
    from support import pretended

    with pretended.trainings():
        yield


@pytest.fixture
def forked() -> Iterator[None]:
    """Python processes that the test starts have TensorFlow already: see `support.forks`."""
    with forks.forked():
        yield


@pytest.fixture
def draws() -> Iterator[None]:
    """The test draws real pictures; all others save a dot in their place."""
    with pictures.drawn():
        yield


@pytest.fixture
def own_folder(tmp_path, monkeypatch) -> None:
    """The current folder is an empty one."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def place(request) -> Address:
    """A dataset of the test's own."""
    name = re.sub(r"\W", "_", request.node.nodeid.split("::", 1)[1])
    return Address.parse(f"bigquery://proj/{name}")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real challenge files; skips where it is absent."""
    folder = Path(os.environ.get("ARIEL_REAL_DATA", Path(__file__).parents[1] / "../shared/real"))
    if not (folder / "noisy_train").is_dir():
        pytest.skip(f"no real challenge files in {folder}; set ARIEL_REAL_DATA")
    return folder
