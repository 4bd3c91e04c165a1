"""Every command and flag that README and docs show exists: each is parsed by the command's own parser; none is run."""

import importlib
import importlib.util
import re

import pytest
from packaging.specifiers import SpecifierSet
from support.documented import PAGES, ROOT, Command, code_lines, commands

from ariel_tf import launch
from ariel_tf.__main__ import MODULES, whole_parser
from ariel_tf.config.train_config import TrainConfig
from ariel_tf.core.errors import ArielError
from pipelines import beam

FOUND = [command for page in PAGES for command in commands(page)]
SHOWN = [command for command in FOUND if not command.module.startswith("benchmarks.")]
# The command that CONTRIBUTING.md adds, and what it and docs/extending.md make: `--data noise:40`, `--model attention`.
IMAGINED = ("pipelines.count", "ariel count")
OWN = re.compile(r"\.py:|^survey:|^noise:|^attention$")
# Flags of other programs.
FOREIGN = {
    "--rest-port", "--grpc-port", "--persistent", "--data-dir", "--logdir", "--requirement", "--kill-on-bad-exit",
    "--nodes", "--ntasks-per-node", "--gpus-per-node", "--time", "--signal", "--requeue", "--extras", "--licenses",
    "--rm", "--tag", "--volume", "--user", "--backend-store-uri",
    "--file", "--editable", "--runner", "--project", "--region", "--sdk_container_image",
}  # fmt: skip


def plain(words: list[str]) -> list[str]:
    """Arguments without the signs of a synopsis: `[RUN ...]` is an optional part, `...` stands for more of the same."""
    words = [word.removeprefix("[").removesuffix("]") if "=" not in word else word for word in words]
    return [word for word in words if word != "..."]


def test_pages_show_commands_and_mark_those_of_a_cloud():
    assert len(SHOWN) > 120
    assert sum(command.needs_cloud for command in SHOWN) > 15
    assert {MODULES[word] for word in MODULES} <= {command.module for command in SHOWN} | {"ariel_tf.pretrain"}


def test_commands_are_found_in_text_as_a_shell_reads_it(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text(
        "Use `python -m ariel_tf.train --wavelength 12` or\n\n"
        "    KERAS_BACKEND=jax ariel predict RUN --data gs://B/F \\\n"
        "        --out 'a b.csv' > log; ls   # as it is\n\n"
        "```sh\npython -m benchmarks.ladder MODEL | sort\n```\nno python -m ariel_tf.train outside code\n"
    )
    monkeypatch.setattr("support.documented.ROOT", tmp_path)
    found = commands(page)
    assert [(one.line, one.module, one.arguments, one.needs_cloud) for one in found] == [
        (1, "ariel_tf.train", ["--wavelength", "12"], False),
        (3, "ariel_tf.predict", ["RUN", "--data", "gs://B/F", "--out", "a b.csv"], True),
        (7, "benchmarks.ladder", ["MODEL"], False),
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_a_page_are_accepted_by_their_parsers(page, capsys):
    for command in commands(page):
        try:
            check(command)
        except (SystemExit, ArielError, ImportError) as error:
            if not isinstance(error, SystemExit) or error.code:
                where = f"{command.page}:{command.line}: {command.module} {command.text}"
                pytest.fail(f"{where}\n{error}\n{capsys.readouterr().err}")


def check(command: Command) -> None:
    """Parse a command's arguments; those of a training also become a configuration."""
    if command.module in IMAGINED:
        return
    if importlib.util.find_spec(command.module) is None:
        raise ModuleNotFoundError(command.module)
    words = plain(command.arguments)
    if command not in SHOWN or not words:
        return
    if command.module == "ariel_tf.launch":
        launch.main(words)
        return
    if command.module == "pipelines.beam":
        beam.parser().parse_args(words[: words.index("--")] if "--" in words else words)
        return
    if command.module == "ariel_tf.supervise":
        cut = words.index("--")
        importlib.import_module(command.module).parser().parse_args(words[:cut])
        if words[cut + 1] == "OPTIONS":
            return
        command, words = command._replace(module="ariel_tf.train"), words[cut + 1 :]
    parsed = importlib.import_module(command.module).parser().parse_args(words)
    if command.module == "ariel_tf.train" and not any(OWN.search(word) for word in words):
        file = getattr(parsed, "config", None)
        if file and (ROOT / file).is_file():
            parsed.config = str(ROOT / file)
        elif file or getattr(parsed, "init_from", None):  # what a command before it wrote
            return
        TrainConfig.from_flags(parsed)


def test_flags_that_pages_name_exist():
    known = set(FOREIGN)
    waiting = [whole_parser()]
    while waiting:
        for action in waiting.pop()._actions:
            known |= set(action.option_strings)
            if hasattr(action, "_name_parser_map"):
                waiting += action.choices.values()
    for module in {command.module for command in FOUND} - {command.module for command in SHOWN}:
        source = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        known |= set(re.findall(r"\"(--[a-z][\w-]*)\"", source))
        known |= {
            "--" + name.replace("_", "-") for name in re.findall(r"^    (\w+): .* = option\(", source, re.MULTILINE)
        }
    for path in (ROOT / "tests/support").rglob("*.py"):
        known |= set(re.findall(r"\"(--[a-z][\w-]*)\"", path.read_text(encoding="utf-8")))
    for page in PAGES:
        for number, line in code_lines(page.read_text(encoding="utf-8")):
            for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", line):
                assert flag in known, f"{page.relative_to(ROOT)}:{number}: {flag}"


def test_every_page_is_in_the_navigation_of_the_site():
    """mkdocs.yml has tags that only mkdocs reads, so its navigation is read as text."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = re.findall(r": ([\w/]+\.md)$", text[text.index("\nnav:") :], re.MULTILINE)
    assert sorted(named) == sorted(str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md"))


def test_links_of_the_readme_lead_to_files():
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "configs/README.md"):
        text = page.read_text(encoding="utf-8")
        links = re.findall(r"\]\(([^)#]+)", text)
        missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
        assert missing == [], page.name


def test_conda_and_docker_take_versions_of_python_that_the_package_admits():
    setup = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    admitted = re.search(r"python_requires = (\S+)", setup)[1]
    assert f"- python {admitted}\n" in (ROOT / "environment.yml").read_text(encoding="utf-8")
    base = set(
        re.findall(r"^FROM python:([\d.]+)-slim", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    workflow = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    tried = set(re.findall(r'"(3\.\d+)"', workflow))
    named = set(re.findall(r"Python :: (3\.\d+)", setup))
    assert base < tried == named == {version for version in named if version in SpecifierSet(admitted)}


def test_the_wheel_has_all_that_docker_copies():
    """A file that setup.cfg names and the image does not get would break its build."""
    copied = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert all((ROOT / name).exists() for name in copied)
    setup = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    include = setup.split("[options.packages.find]")[1].split("[", 1)[0]
    needed = {name.rstrip("*") for name in re.findall(r"^    (\S+)$", include, re.MULTILINE)}
    needed |= {re.search(r"long_description = file: (\S+)", setup)[1], re.search(r"license_files = (\S+)", setup)[1]}
    assert needed <= set(copied)
