"""Converting text files: equality with np.loadtxt, resumption, and a sentence for each fault across files."""

import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ariel_tf.challenge import ORBIT_PARAMETERS, STAR_NAMES
from ariel_tf.core.errors import ArielError, DataError, Stopped, UsageError
from ariel_tf.data.folds import assign_folds
from ariel_tf.data.manifest import Manifest
from ariel_tf.data.parts import Part
from ariel_tf.data.records import decode
from ariel_tf.data.shards import read_records
from ariel_tf.data.sources import open_source
from ariel_tf.data.text import planet as text_planet
from ariel_tf.data.text.format import write_light_curve, write_params
from ariel_tf.planet import Planet
from pipelines import check, common, convert

ROOT = Path(__file__).parents[2]
NUMBERS = (1, 2, 40, 1234)


def write_planet(folder: Path, planet: Planet) -> None:
    """As the challenge lays them out, but nested a folder deeper, as some archives unpack."""
    for kind in ("noisy_train/archive", "params_train"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for row, key in enumerate(planet.keys):
        write_light_curve(folder / f"noisy_train/archive/{key.name}.txt", planet.star, planet.flux[:, row])
        write_params(folder / f"params_train/{key.name}.txt", planet.orbit, planet.radii)


@pytest.fixture
def text(tmp_path, make_planet) -> Path:
    """A folder of four planets with two observations each."""
    for number in NUMBERS:
        write_planet(tmp_path / "text", make_planet(number))
    return tmp_path / "text"


def run(text: Path, out: Path, *options: str, params: bool = True) -> Manifest:
    targets = ["--params", f"{text}/params_train"] if params else []
    convert.main(["--light-curves", f"{text}/noisy_train", *targets, "--out", str(out), "--jobs", "1", *options])
    return Manifest.read(out)


def faults(text: Path, out: Path) -> list[str]:
    """What convert refuses; it must not have left a manifest."""
    with pytest.raises(DataError) as caught:
        run(text, out)
    assert not (out / "manifest.json").exists()
    assert caught.value.exit_code == 3
    return [fault.replace(f"{text}/", "") for fault in caught.value.faults]


def planets(out: Path) -> dict[int, Planet]:
    read = [decode(r) for shard in Manifest.read(out).shards for r in read_records(out / shard.name)]
    return {planet.number: planet for planet in read}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def light_curve(text: Path, name: str) -> Path:
    return text / f"noisy_train/archive/{name}.txt"


def assert_equals_loadtxt(planet: Planet, path: Path, params: Path | None) -> None:
    """By the slow road: np.loadtxt, and the headers by hand."""

    def headers(lines: list[str]) -> dict[str, float]:
        return {name: float(value) for name, value in (line[2:].split(": ") for line in lines)}

    row = [key.name for key in planet.keys].index(path.stem)
    assert planet.flux[:, row].tobytes() == np.loadtxt(path).astype(np.float32).tobytes()
    star = headers(path.read_text().splitlines()[:6])
    assert planet.star.tolist() == [star[name] for name in STAR_NAMES]
    if params is None:
        assert np.isnan(planet.radii).all()
    else:
        assert planet.radii.tobytes() == np.loadtxt(params).tobytes()
        orbit = headers(params.read_text().splitlines()[:2])
        assert planet.orbit.tolist() == [orbit[parameter.name] for parameter in ORBIT_PARAMETERS]


def test_convert_equals_loadtxt_and_passes_check(text, tmp_path, capsys):
    out = tmp_path / "out"
    manifest = run(text, out)
    assert manifest.planets == assign_folds(NUMBERS, 0)
    assert manifest.rows == 8
    assert manifest.labelled
    printed = capsys.readouterr().out
    assert f"{out}: 4 planets, 8 observations, with targets, 4 shards, 0.5 MB" in printed
    assert f"python -m ariel_tf.train --data {out}" in printed
    for planet in planets(out).values():
        for key in planet.keys:
            assert_equals_loadtxt(planet, light_curve(text, key.name), text / f"params_train/{key.name}.txt")
    check.main([str(out)])


def test_real_files_convert_and_pass_check(real_data, tmp_path):
    train, test = tmp_path / "train", tmp_path / "test"
    convert.main(
        [f"--light-curves={real_data}/noisy_train", f"--params={real_data}/params_train", f"--out={train}", "--jobs=1"]
    )
    convert.main([f"--light-curves={real_data}/noisy_test", f"--out={test}", "--jobs=1"])
    for folder, kind in ((train, "train"), (test, "test")):
        check.main([str(folder)])
        for planet in planets(folder).values():
            name = planet.keys[0].name
            params = real_data / f"params_train/{name}.txt" if kind == "train" else None
            assert_equals_loadtxt(planet, real_data / f"noisy_{kind}/{name}.txt", params)
    assert Manifest.read(train).planets.keys() == {52, 100}


def test_one_of_anything_is_no_plural(tmp_path, make_planet, capsys):
    write_planet(tmp_path / "text", make_planet(5, observations=1))
    bad = tmp_path / "text/params_train/5.txt"
    bad.touch()
    run(tmp_path / "text", tmp_path / "out", "--skip-bad")
    printed = capsys.readouterr().out
    for words in (
        ": 1 planet, 1 observation, with targets, 1 shard, ",
        "\n1 observation in ",
        "left out: 1 file or planet,",
    ):
        assert words in printed


def test_a_test_set_has_no_targets(text, tmp_path):
    manifest = run(text, tmp_path / "out", params=False)
    assert not manifest.labelled
    assert all(not planet.labelled for planet in planets(tmp_path / "out").values())
    assert manifest.sums.choose(range(10))["radius"].count == 0


def test_observations_and_params_files_may_be_missing(text, tmp_path):
    light_curve(text, "0001_01_01").unlink()
    (text / "params_train/0002_01_01.txt").unlink()
    for path in (text / "noisy_train/archive").glob("1234_*"):
        path.unlink()
    manifest = run(text, tmp_path / "out")
    assert manifest.rows == 5
    assert manifest.planets.keys() == {1, 2, 40}


def test_processes_change_nothing(text, tmp_path):
    run(text, tmp_path / "one")
    run(text, tmp_path / "two", "--jobs", "2")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_an_interrupted_run_goes_on_with_the_missing_planets(text, tmp_path, monkeypatch):
    run(text, tmp_path / "unbroken", "--shard-bytes", "1000")
    real, seen = convert.read_planet, []

    def interrupted(files, skip_bad):
        seen.append(files.number)
        if len(seen) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(files, skip_bad)

    monkeypatch.setattr(convert, "read_planet", interrupted)
    with pytest.raises(Stopped, match="repeat the command to resume") as caught:
        run(text, tmp_path / "out", "--shard-bytes", "1000")
    assert caught.value.exit_code == 143
    seen.extend([0] * 10)
    run(text, tmp_path / "out", "--shard-bytes", "1000")
    assert len(seen) == 3 + 10 + 2
    assert contents(tmp_path / "out") == contents(tmp_path / "unbroken")


def test_all_faults_are_listed_at_once(text, tmp_path):
    light_curve(text, "0001_01_01").write_bytes(b"")
    light_curve(text, "0040_01_02").write_bytes(light_curve(text, "0040_01_02").read_bytes()[:100_000])
    (text / "noisy_train/archive/52_1_1.txt").touch()
    (text / "params_train/readme.pdf").touch()
    (text / "params_train/0001_01_09").touch()
    (text / "noisy_train/.DS_Store").touch()
    found = faults(text, tmp_path / "out")
    assert sorted(fault.split(": ")[0] for fault in found) == [
        "noisy_train/archive/0001_01_01.txt",
        "noisy_train/archive/0040_01_02.txt",
        "noisy_train/archive/52_1_1.txt",
        "params_train/0001_01_09",
        "params_train/readme.pdf",
    ]
    assert any("0001_01_01.txt: is empty" in fault for fault in found)
    assert any("52_1_1.txt: expected a file name like 0052_01_10.txt" in fault for fault in found)


def test_skip_bad_goes_on_from_there_and_leaves_them_on_record(text, tmp_path):
    light_curve(text, "0001_01_01").write_bytes(b"")
    for name in ("0040_01_01", "0040_01_02"):
        light_curve(text, name).write_bytes(b"\x1f\x8b")
    (text / "noisy_train/notes.txt").touch()
    faults(text, tmp_path / "out")
    manifest = run(text, tmp_path / "out", "--skip-bad")
    assert manifest.planets.keys() == {1, 2, 1234}
    assert manifest.dropped == [40]
    assert manifest.rows == 5
    assert sorted(Path(entry["file"]).name for entry in manifest.skipped) == [
        "0001_01_01.txt", "0040_01_01.txt", "0040_01_02.txt", "notes.txt"
    ]  # fmt: skip
    assert {"file": str(light_curve(text, "0001_01_01")), "fault": "is empty"} in manifest.skipped
    check.main([str(tmp_path / "out")])


LEFTOVERS = ("._0001_01_01.txt", ".DS_Store", "Thumbs.db", "desktop.ini", "Desktop.INI", "0001_01_01.txt~")


def test_leftovers_of_macos_windows_and_editors_are_passed_over(text, tmp_path):
    expected = run(text, tmp_path / "expected")
    for folder in (text / "noisy_train/archive", text / "params_train", text / "noisy_train/__MACOSX/archive"):
        folder.mkdir(parents=True, exist_ok=True)
        for name in LEFTOVERS:
            (folder / name).write_bytes(b"\0")
    (text / "noisy_train/__MACOSX/0001_01_01.txt").write_bytes(b"\0")
    assert run(text, tmp_path / "out").fingerprint == expected.fingerprint


def test_compressed_files_are_read_like_others(text, tmp_path):
    expected = run(text, tmp_path / "expected")
    for path in [light_curve(text, "0001_01_01"), *(text / "params_train").glob("0002_*")]:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert run(text, tmp_path / "out").fingerprint == expected.fingerprint
    light_curve(text, "0001_01_01").touch()
    (fault,) = faults(text, tmp_path / "twice")
    assert "0001_01_01.txt.gz: the same observation is also in noisy_train/archive/0001_01_01.txt" in fault


@pytest.mark.parametrize("compressed", [False, True])
def test_a_folder_above_both_kinds_is_one_sentence(text, tmp_path, compressed):
    """It was a line for each file."""
    if compressed:
        path = text / "params_train/0001_01_01.txt"
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    with pytest.raises(DataError) as caught:
        convert.main([f"--light-curves={text}", f"--out={tmp_path}/out", "--jobs=1"])
    assert str(caught.value) == (
        f"{text}: holds light curves (in {text}/noisy_train/archive) and params files (in {text}/params_train): "
        "name the folder of each."
    )
    assert caught.value.faults == []


@pytest.mark.parametrize(
    ("light_curves", "params", "said"),
    [
        ("params_train", "noisy_train", "params_train: expected light curves, found params files"),
        ("noisy_train", "noisy_train", "noisy_train: expected params files, found light curves"),
    ],
)
def test_the_folder_of_the_other_kind_is_one_sentence(text, tmp_path, light_curves, params, said):
    """It was a line for each file, after all of them were read."""
    with pytest.raises(DataError) as caught:
        convert.main([f"--light-curves={text / light_curves}", f"--params={text / params}", f"--out={tmp_path}/out"])
    assert str(caught.value) == f"{text}/{said}; name the other folder."
    assert caught.value.faults == []
    if light_curves == "params_train":
        with pytest.raises(DataError, match="expected light curves, found params files"):
            open_source(str(text / light_curves), ())


def test_a_pickle_given_as_data_is_answered_with_what_converts_it(tmp_path):
    (tmp_path / "x.pkl").write_bytes(b"")
    with pytest.raises(DataError, match=r"x.pkl: expected a folder, found a pickle; .*convert --pickle .*x.pkl --out"):
        open_source(str(tmp_path / "x.pkl"), ())


def test_two_targets_of_one_planet(text, tmp_path, make_planet):
    planet = make_planet(2)
    radii = planet.radii.copy()
    radii[7] += 1e-9
    write_params(text / "params_train/0002_01_02.txt", planet.orbit, radii)
    (fault,) = faults(text, tmp_path / "out")
    assert re.fullmatch(
        r"params_train/0002_01_02.txt: the relative radius at wavelength 7 is 0\.\d+, but 0\.\d+ in "
        r"params_train/0002_01_01.txt, a file of the same planet",
        fault,
    )
    assert run(text, tmp_path / "out", "--skip-bad").dropped == [2]


def test_two_stellar_headers_of_one_planet(text, tmp_path, make_planet):
    planet = make_planet(2)
    star = planet.star.copy()
    star[4] = 9.99
    write_light_curve(light_curve(text, "0002_01_02"), star, planet.flux[:, 1])
    (fault,) = faults(text, tmp_path / "out")
    assert fault.startswith("noisy_train/archive/0002_01_02.txt: star_k_mag is 9.99, but ")
    assert run(text, tmp_path / "out", "--skip-bad").dropped == [2]


def test_light_curves_without_params(text, tmp_path):
    for path in (text / "params_train").glob("0002_*"):
        path.unlink()
    (fault,) = faults(text, tmp_path / "out")
    assert fault.startswith("noisy_train/archive/0002_01_01.txt: planet 0002 has light curves, but no file in the")
    manifest = run(text, tmp_path / "out", "--skip-bad", "--overwrite")
    assert manifest.planets.keys() == {1, 40, 1234}
    assert len(manifest.skipped) == 1


def test_the_same_key_twice_in_nested_folders(text, tmp_path):
    shutil.copytree(text / "noisy_train/archive", text / "noisy_train/copy", ignore=lambda _, names: [
        name for name in names if not name.startswith("0001_01_02")
    ])  # fmt: skip
    (fault,) = faults(text, tmp_path / "out")
    assert fault == (
        "noisy_train/copy/0001_01_02.txt: the same observation is also in noisy_train/archive/0001_01_02.txt"
    )
    assert run(text, tmp_path / "out", "--skip-bad", "--overwrite").rows == 7


def test_a_params_file_with_a_radius_outside_the_bounds(text, tmp_path):
    path = text / "params_train/0001_01_01.txt"
    path.write_bytes(re.sub(rb"\n0\.\d+", b"\n1.5", path.read_bytes()))
    (fault,) = faults(text, tmp_path / "out")
    assert fault == (
        "params_train/0001_01_01.txt: row 1 (line 3), column 1: relative radius is 1.5, expected within (0, 1]"
    )


def test_an_empty_folder(tmp_path):
    for kind in ("noisy_train", "params_train"):
        (tmp_path / "text" / kind).mkdir(parents=True)
    with pytest.raises(DataError, match=r"noisy_train: expected light curves AAAA_BB_CC.txt, found none"):
        run(tmp_path / "text", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bad_file_that_was_removed_is_another_set_of_files(text, tmp_path):
    """The refusal names --overwrite: the same command cannot finish the data set of all files."""
    light_curve(text, "0001_01_01").write_bytes(b"x")
    with pytest.raises(DataError, match="--skip-bad"):
        run(text, tmp_path / "out")
    light_curve(text, "0001_01_01").unlink()
    with pytest.raises(UsageError, match=r"\(a file added or removed is another set of files\): .* or --overwrite$"):
        run(text, tmp_path / "out")
    assert run(text, tmp_path / "out", "--overwrite").rows == len(list((text / "noisy_train").rglob("*.txt")))


def test_targets_of_other_planets(text, tmp_path):
    """The params folder of the training set given with the test set's light curves."""
    for path in (text / "params_train").iterdir():
        path.rename(path.with_name(f"9{path.name[1:]}"))
    with pytest.raises(DataError, match=r"no planet has a file in --params .*params_train; leave --params out"):
        run(text, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["--light-curves=nowhere", "--out=out"], "--light-curves nowhere: expected a folder of challenge text"),
        (["--light-curves={text}/noisy_train", "--params=nowhere", "--out=out"], "--params nowhere: expected a folder"),
        (["--light-curves={text}/noisy_train", "--out={text}/noisy_train/out"], "is inside --light-curves"),
    ],
)
def test_folders_that_do_not_fit_are_usage_errors(text, options, fault):
    with pytest.raises(UsageError, match=fault):
        convert.main([option.format(text=text) for option in options])


def test_an_output_folder_that_cannot_be_made(text, tmp_path):
    (tmp_path / "file").touch()  # not even root can make a folder in a file
    with pytest.raises(OSError, match="file"):
        run(text, tmp_path / "file/out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_a_fault(text, tmp_path):
    light_curve(text, "0001_01_01").chmod(0)
    assert faults(text, tmp_path / "out") == ["noisy_train/archive/0001_01_01.txt: cannot be read: Permission denied"]


@pytest.mark.parametrize(("kind", "reader"), [("noisy_train/archive", "light_curve"), ("params_train", "params")])
def test_a_file_that_the_system_refuses_to_read_is_a_fault_among_others(text, tmp_path, monkeypatch, kind, reader):
    real = getattr(text_planet, f"read_{reader}")

    def read(path, sums=()):
        if path.endswith(f"{kind}/0040_01_01.txt"):
            raise OSError(5, "Input/output error", path)
        return real(path, sums)

    monkeypatch.setattr(text_planet, f"read_{reader}", read)
    light_curve(text, "0001_01_01").write_bytes(b"")
    assert faults(text, tmp_path / "out") == [
        "noisy_train/archive/0001_01_01.txt: is empty",
        f"{kind}/0040_01_01.txt: cannot be read: Input/output error",
    ]


def test_links_to_folders_are_followed_and_may_lead_back(text, tmp_path):
    expected = run(text, tmp_path / "expected")
    (text / "noisy_train/archive").rename(text / "elsewhere")
    (text / "noisy_train/linked").symlink_to(text / "elsewhere")
    (text / "elsewhere/back").symlink_to(text / "noisy_train")
    (text / "elsewhere/itself").symlink_to(text / "elsewhere")
    assert run(text, tmp_path / "out").fingerprint == expected.fingerprint


def test_links_that_lead_nowhere_are_faults(text, tmp_path):
    path = light_curve(text, "0001_01_01")
    path.unlink()
    path.symlink_to("gone.txt")
    (text / "noisy_train/loop").symlink_to("loop")
    assert sorted(faults(text, tmp_path / "out")) == [
        "noisy_train/archive/0001_01_01.txt: cannot be read: No such file or directory",
        "noisy_train/loop: expected a file name like 0052_01_10.txt (planet_spot_photon), received 'loop'",
    ]
    assert run(text, tmp_path / "out", "--skip-bad", "--overwrite").rows == 7


def test_a_killed_worker_is_one_sentence():
    with pytest.raises(ArielError, match="use fewer --jobs"):
        list(common.in_order(os._exit, [1, 1], jobs=2))


def test_results_come_in_order_and_few_items_are_taken_ahead():
    taken = []
    items = (taken.append(number) or -number for number in range(40))
    for position, result in enumerate(common.in_order(abs, items, jobs=2)):
        assert result == position
        assert len(taken) <= position + 1 + 2 * 2
    assert len(taken) == 40


def test_progress_without_a_terminal_is_a_line_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr("ariel_tf.core.resources._SECONDS_BETWEEN_LINES", 0.0)
    with common.Progress(400, "observation", done=100) as progress:
        progress(100)
        progress(200)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("|")[0].strip() for line in lines] == ["50%", "100%"]
    assert "200/400" in lines[0]
    assert "observations/s" in lines[0]
    assert progress.summary.startswith("300 observations in 0.0 s")


def test_no_worker_outlives_a_parent_that_was_killed(tmp_path):
    program = (
        "import os, time\nfrom pipelines.common import in_order\nif __name__ == '__main__':\n"
        "    results = in_order(abs, range(100), 2)\n    next(results)\n    os.kill(os.getpid(), 9)\n"
    )
    (tmp_path / "program.py").write_text(program)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    started = [sys.executable, str(tmp_path / "program.py")]
    parent = subprocess.Popen(started, env=environment, stdout=subprocess.PIPE)
    parent.communicate(timeout=60)  # ends only when the last process that holds its output has ended
    assert parent.returncode == -signal.SIGKILL


def command(*arguments: object, largest: int = 0, **options) -> subprocess.Popen:
    """The command as a process, which can write no file of more than `largest` bytes, if given."""
    program = "import resource, runpy\n"
    program += f"resource.setrlimit(resource.RLIMIT_FSIZE, ({largest}, {largest}))\n" if largest else ""
    program += "runpy.run_module('pipelines.convert', run_name='__main__', alter_sys=True)"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], cwd=ROOT, **pipes, **options)


def test_help_and_argument_errors_are_quick_and_import_no_tensorflow():
    program = (
        "import sys\nfrom pipelines import convert, check, simulate\n"
        "for name in (convert, check, simulate):\n"
        "    for arguments in (['--help'], ['--no-such']):\n"
        "        try: name.main(arguments)\n"
        "        except SystemExit as end: print(end.code, file=sys.stderr)\n"
        "print([m for m in ('tensorflow', 'keras') if m in sys.modules], file=sys.stderr)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = ran.stderr.splitlines()
    assert [line for line in lines if line in ("0", "2")] == ["0", "2"] * 3
    assert lines[-1] == "[]"


def test_refused_data_and_a_full_disk_show_no_traceback(text, tmp_path, forked):
    where = (f"--light-curves={text}/noisy_train", f"--params={text}/params_train", "--jobs=1")
    full = command(*where, f"--out={tmp_path}/full", largest=100_000)
    _, full_says = full.communicate()
    light_curve(text, "0001_01_01").write_bytes(b"")
    refused = command(*where, f"--out={tmp_path}/out")
    _, refused_says = refused.communicate()
    assert (full.returncode, refused.returncode) == (1, 3)
    assert refused_says.splitlines()[-2:] == [
        f"  {light_curve(text, '0001_01_01')}: is empty",
        "error: 1 fault was found, so the data set is unfinished: mend these files and repeat the command, or add "
        "--skip-bad to leave them out",
    ]
    assert full_says.splitlines()[-1].startswith("error: ")
    assert f"{tmp_path}/full/fold-" in full_says.splitlines()[-1]
    assert "Traceback" not in refused_says + full_says
    assert not list((tmp_path / "full").glob("*.tfrecord"))


def test_ctrl_c_stops_workers_and_says_how_to_go_on(text, tmp_path, forked):
    path = light_curve(text, "1234_01_02")
    content = path.read_bytes()
    path.unlink()
    os.mkfifo(path)  # a worker that opens it waits for us
    process = command(
        f"--light-curves={text}/noisy_train", f"--params={text}/params_train", f"--out={tmp_path}/out", "--jobs=2",
        "--shard-bytes=1", start_new_session=True,
    )  # fmt: skip
    pipe = None
    while pipe is None:
        assert process.poll() is None
        time.sleep(0.01)
        with contextlib.suppress(OSError):  # nobody reads yet
            pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the parent and the workers
    time.sleep(0.2)
    os.close(pipe)
    _, says = process.communicate()
    assert process.returncode == 130, says
    assert says.splitlines()[-1] == "stopped; repeat the command to resume after the last complete shard"
    assert "Traceback" not in says
    path.unlink()
    path.write_bytes(content)
    run(text, tmp_path / "out", "--shard-bytes=1")
    run(text, tmp_path / "unbroken", "--shard-bytes=1")
    assert contents(tmp_path / "out") == contents(tmp_path / "unbroken")


def test_a_repeated_convert_says_complete_already(text, tmp_path, capsys):
    """It ended with exit code 2, where simulate says that it is complete."""
    out = tmp_path / "out"
    run(text, out)
    before = contents(out)
    capsys.readouterr()
    run(text, out)
    assert capsys.readouterr().out == f"{out}: complete already\n"
    assert contents(out) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda text: light_curve(text, "0001_01_01").write_bytes(light_curve(text, "0001_01_02").read_bytes()),
        lambda text: light_curve(text, "0001_01_01").unlink(),
        lambda text: os.utime(light_curve(text, "0001_01_01"), (0, 0)),  # another file, however old
    ],
)
def test_changed_text_files_are_not_complete_already(text, tmp_path, change):
    run(text, tmp_path / "out")
    change(text)
    with pytest.raises(UsageError, match="already holds a data set"):
        run(text, tmp_path / "out")


def test_a_convert_of_other_settings_is_not_complete_already(text, tmp_path):
    run(text, tmp_path / "out")
    with pytest.raises(UsageError, match="already holds a data set"):
        run(text, tmp_path / "out", "--fold-seed", "1")
    light_curve(text, "0001_01_01").write_bytes(b"")
    run(text, tmp_path / "out", "--skip-bad", "--overwrite")
    run(text, tmp_path / "out", "--skip-bad")
    with pytest.raises(UsageError, match="already holds a data set"):
        run(text, tmp_path / "out")


def test_a_convert_that_was_killed_while_it_cleaned_up_finishes_cleaning(text, tmp_path, monkeypatch):
    """The repeat ended with exit code 2, and its small files stayed for ever."""
    run(text, tmp_path / "unbroken")
    monkeypatch.setattr("ariel_tf.data.writer.clean", lambda folder, manifest: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped):
        run(text, tmp_path / "out")
    monkeypatch.undo()
    assert (tmp_path / "out/manifest.json").is_file()
    assert (tmp_path / "out/unfinished.json").is_file()
    run(text, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "unbroken")


def test_input_names_that_are_not_utf_8_are_escaped_in_the_manifest(text, tmp_path):
    """convert failed after it had read everything."""
    odd = tmp_path / os.fsdecode(b"noisy_\xe9")
    shutil.move(text, odd)
    (odd / "noisy_train" / os.fsdecode(b"0001_01_01 copie \xe9.txt")).write_text("x")
    manifest = run(odd, tmp_path / "out", "--skip-bad")
    assert manifest.source["light_curves"] == f"{odd}/noisy_train"
    assert [os.path.basename(entry["file"]) for entry in manifest.skipped] == [
        os.fsdecode(b"0001_01_01 copie \xe9.txt")
    ]
    run(odd, tmp_path / "out", "--skip-bad")
    with pytest.raises(UsageError, match=r"out_\\xe9: expected a path in UTF-8"):
        run(odd, tmp_path / os.fsdecode(b"out_\xe9"))
    assert not (tmp_path / os.fsdecode(b"out_\xe9")).exists()


def test_a_band_without_noise_is_a_warning(text, tmp_path, make_planet, capsys):
    """Convert and check name it, and the manifest lists it."""
    plain = run(text, tmp_path / "plain")
    assert plain.dead_bands == []
    assert "warning" not in capsys.readouterr().err
    assert b"dead_bands" not in (tmp_path / "plain/manifest.json").read_bytes()
    planet = make_planet(40)
    planet.flux[30, 1] = 0.0
    planet.flux[7] = 1.0
    write_planet(text, planet)
    assert run(text, tmp_path / "out").dead_bands == [{"planet": 40, "wavelengths": [7, 30]}]
    said = "warning: 1 planet has bands without noise (dead, saturated or filled in), which are left out"
    assert said in (printed := capsys.readouterr().err)
    assert "of the score: 0040 at wavelength 7, 30\n" in printed
    check.main([str(tmp_path / "out")])
    assert said in capsys.readouterr().err


def test_a_manifest_with_damaged_dead_bands_is_one_sentence(text, tmp_path):
    run(text, tmp_path / "out")
    page = json.loads((tmp_path / "out/manifest.json").read_text())
    (tmp_path / "out/manifest.json").write_text(json.dumps(page | {"dead_bands": {"planet": 3}}))
    with pytest.raises(DataError, match="expected 'dead_bands' as a list of planets"):
        Manifest.read(tmp_path / "out")


def parts(text: Path, out: Path, numbers, *options: str) -> None:
    for number in numbers:
        arguments = ["--light-curves", f"{text}/noisy_train", "--params", f"{text}/params_train", "--jobs", "1"]
        convert.main([*arguments, "--out", str(out), "--part", f"{number}/3", *options])


def test_parts_of_several_machines_are_the_bytes_of_one(text, tmp_path, capsys):
    run(text, tmp_path / "whole")
    out = tmp_path / "parts"
    parts(text, out, (1, 3))
    assert f"{out}: part 3/3, 1 shard; 3 of 4 are there" in capsys.readouterr().out
    assert not (out / "manifest.json").exists()
    with pytest.raises(UsageError, match=r"--finish: .*: 1 of 4 shards are missing, fold-\d-00000\.tfrecord first"):
        run(text, out, "--finish")
    written = {path: path.stat().st_mtime_ns for path in out.glob("*.tfrecord")}
    parts(text, out, (1, 2, 3))  # what was written stays
    assert all(path.stat().st_mtime_ns == time for path, time in written.items())
    run(text, out, "--finish")
    assert contents(out) == contents(tmp_path / "whole")
    run(text, out, "--finish")
    parts(text, out, (2,))
    assert capsys.readouterr().out.count("complete already") == 2


def test_parts_record_what_was_left_out_as_one_machine_does(text, tmp_path):
    light_curve(text, "0001_01_01").write_text("torn")
    run(text, tmp_path / "whole", "--skip-bad")
    parts(text, tmp_path / "parts", (3, 1, 2), "--skip-bad")
    run(text, tmp_path / "parts", "--skip-bad", "--finish")
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    assert Manifest.read(tmp_path / "parts").skipped


def test_a_part_is_written_by_one_process_and_all_parts_before_the_manifest(text, tmp_path):
    out = tmp_path / "out"
    parts(text, out, (2,))
    state = json.loads((out / "unfinished.json").read_text())
    handles = Part(1, 3).claim(out, state)
    with pytest.raises(UsageError, match="another process is writing part 1/3"):
        parts(text, out, (1,))
    with pytest.raises(UsageError, match="another process is writing there"):
        run(text, out, "--finish")
    parts(text, out, (3,))
    for handle in handles:
        os.close(handle)
    with pytest.raises(UsageError, match="unfinished data set of other files or settings"):
        parts(text, out, (1,), "--fold-seed", "3")


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["--part", "4/3"], r"--part: expected a part like 3/8\. Received: 4/3"),
        (["--part", "0/3"], r"--part: expected a part like 3/8\. Received: 0/3"),
        (["--part", "1/3", "--finish"], "--finish: expected without --part"),
        (["--part", "1/3", "--overwrite"], "--overwrite: expected without --part"),
        (["--finish", "--overwrite"], "--overwrite: expected without --finish"),
    ],
)
def test_parts_that_do_not_fit_are_usage_errors(text, tmp_path, options, fault):
    with pytest.raises(UsageError, match=fault):
        run(text, tmp_path / "out", *options)
