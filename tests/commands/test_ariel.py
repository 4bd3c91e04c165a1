"""`ariel`: every command is listed and runs under one name; help needs no TensorFlow; shells complete it."""

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

import ariel_tf
from ariel_tf.__main__ import MODULES, completion, listing, main, versions, whole_parser

ROOT = Path(__file__).parents[2]
HEAVY = ("tensorflow", "keras", "sklearn", "scipy", "pandas", "matplotlib", "google.cloud.bigquery")


def call(*arguments):
    """A command's exit code, stdout and stderr, in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    ran = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, env=environment, check=False
    )
    return ran.returncode, ran.stdout, ran.stderr


def test_every_module_with_a_main_is_a_command():
    """A new command that is not in the table could not be found."""
    folders = ("ariel_tf", "pipelines", "tuning")
    found = {
        f"{folder}.{path.stem}"
        for folder in folders
        for path in (ROOT / folder).glob("*.py")
        if "    run_command(main)" in path.read_text(encoding="utf-8")
    }
    assert found == set(MODULES.values())


def test_ariel_alone_lists_every_command_with_a_line_each(capsys):
    main([])
    assert capsys.readouterr().out.strip() == listing()
    lines = {line.split()[0]: line for line in listing().splitlines() if line.startswith("  ")}
    assert lines.keys() == MODULES.keys()
    assert all(len(line) < 121 and line.rstrip().endswith(".") for line in lines.values())


def test_help_of_every_command_has_examples_and_imports_nothing_heavy():
    program = (
        "import sys, importlib\n"
        f"for module in {list(MODULES.values())!r}:\n"
        "    try: importlib.import_module(module).main(['--help'])\n"
        "    except SystemExit as end: assert end.code == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, env=environment, check=True
    )
    assert ran.stderr.splitlines()[-1] == "[]"
    assert ran.stdout.count("\nexamples:\n") == len(MODULES)


@pytest.mark.parametrize("word", ["train", "partial-set"])
def test_the_old_front_door_says_the_same(word):
    module = MODULES[word]
    old, new = call(module, "--help"), call("ariel_tf", word, "--help")
    assert old[0] == new[0] == 0
    assert old[1].replace(f"python -m {module}", f"python -m ariel_tf {word}") == new[1]


@pytest.mark.parametrize("word", MODULES)
def test_examples_of_every_command_are_accepted_by_its_parser(word):
    """An example that the parser refuses would be the first thing that a reader tries."""
    parser = importlib.import_module(MODULES[word]).parser()
    examples = [line.strip().removeprefix(parser.prog).split() for line in parser.epilog.splitlines()[1:]]
    assert examples
    for example in examples:
        cut = example.index("--") if "--" in example else len(example)
        parser.parse_args(example[:cut])


def test_an_unknown_command_is_one_sentence_with_the_nearest_name():
    code, out, error = call("ariel_tf", "trian")
    assert (code, out) == (2, "")
    assert error.startswith("error: expected a command, one of ")
    assert error.endswith("Received: trian. Did you mean train?\n")


def test_an_unknown_flag_names_the_nearest(capsys):
    with pytest.raises(SystemExit) as end:
        importlib.import_module("ariel_tf.train").main(["--wavelenght", "12"])
    assert end.value.code == 2
    assert "unknown argument --wavelenght. Did you mean --wavelength?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "arguments", "said"),
    [
        ("train", ["--out", "runs/x"], "unknown argument --out. Did you mean --run?"),
        ("train", ["--output=runs/x"], "unknown argument --output=runs/x. Did you mean --run?"),
        ("predict", ["--run", "x", "--out", "a.csv"], "unknown argument --run. Did you mean --out?"),
        ("train", ["--validation", "3"], "unknown argument --validation. Did you mean --validation-folds?"),
        ("train", ["--over"], "unknown argument --over. Did you mean --overwrite?"),
        ("ensemble", ["average", "a", "b", "--ru", "x", "--run", "y"], "unknown argument --ru. Did you mean --run?"),
        ("ensemble", ["average", "a", "b", "--ru", "x"], "unknown argument --ru. Did you mean --run?"),
        ("predict", ["a", "--light-curves", "b", "--otu=c"], "unknown argument --otu=c. Did you mean --out?"),
        ("predict", ["a", "--light-curves", "b"], "the following arguments are required: --out"),
    ],
)
def test_an_abbreviated_flag_is_refused(capsys, word, arguments, said):
    """`train --out runs/x` was read as `--outage runs/x`."""
    with pytest.raises(SystemExit) as end:
        importlib.import_module(MODULES[word]).main(arguments)
    assert end.value.code == 2
    assert said in capsys.readouterr().err


def test_version_prints_versions_first_and_then_the_devices_that_tensorflow_finds(capsys):
    main(["--version"])
    out = capsys.readouterr().out
    *before, last = out.splitlines()
    assert "\n".join(before) == versions()
    assert [line.split()[0] for line in before] == ["ariel_tf", "Python", "TensorFlow", "Keras", "NumPy"]
    assert last.startswith("devices     ")
    gpus = tf.config.list_physical_devices("GPU")
    assert last.count("gpu:") == len(gpus)
    assert ("no GPU" in last) == (not gpus)


def test_versions_are_read_without_importing_tensorflow():
    program = "import sys; from ariel_tf.__main__ import versions; versions(); print(list(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(ast.literal_eval(ran.stdout))


def test_the_version_is_in_one_place():
    assert f"version: {ariel_tf.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert "version = attr: ariel_tf.__version__\n" in (ROOT / "setup.cfg").read_text(encoding="utf-8")


def test_bash_accepts_the_completion_script_which_knows_every_command_and_flag(tmp_path):
    script = completion("bash")
    (tmp_path / "ariel.sh").write_text(script)
    subprocess.run(["bash", "-n", str(tmp_path / "ariel.sh")], check=True)
    for word in MODULES:
        assert f"_{word.replace('-', '_')}_option_strings=" in script
    for flag in ("--pretrained-weights", "--light-curves", "--level-0", "--algorithm", "--skip-bad", "float32"):
        assert flag in script


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_have_a_script(shell):
    assert "train" in completion(shell)


def test_every_flag_has_help():
    def actions(parser):
        for action in parser._actions:
            yield parser, action
            if hasattr(action, "_name_parser_map"):
                for one in action.choices.values():
                    yield from actions(one)

    silent = [
        f"{parser.prog}: {action.option_strings or action.dest}"
        for parser, action in actions(whole_parser())
        if not action.help and not hasattr(action, "_name_parser_map")
    ]
    assert silent == []
