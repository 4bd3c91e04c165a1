"""Print the declared dependencies at their lower bounds, as a requirements file for `make test-lowest`.

    python tools/lowest.py [EXTRA ...]

A dependency `name >=1.2,<3` becomes `name ==1.2.*`, the newest patch of that version, if no patch is declared, and
`name ==1.2.3` if one is.
"""

import argparse
import configparser
import re
from collections.abc import Iterator
from pathlib import Path

SETUP = Path(__file__).parents[1] / "setup.cfg"
_LINE = re.compile(r"(?P<name>[\w.-]+(\[[\w,-]+\])?) *(?P<bounds>[^;]*)")
# Tools that check the source, not the package.
SOURCE_TOOLS = {"ruff", "mypy"}


def lowest(requirement: str) -> str:
    """Return a requirement at its lower bound.

    >>> lowest("numpy >=1.26,<3"), lowest("keras >=3.12.4,<3.16"), lowest("duckdb ==1.5.5")
    ('numpy ==1.26.*', 'keras ==3.12.4', 'duckdb ==1.5.5')
    """
    found = _LINE.fullmatch(requirement)
    bound = re.search(r"(>=|==) *([\w.]+)", requirement)
    if found is None or bound is None:
        raise ValueError(f"expected NAME >=VERSION. Received: {requirement}")
    version = bound[2]
    if bound[1] == ">=" and version.count(".") < 2:
        version += ".*" if "." in version else ".0.*"
    return f"{found['name']} =={version}"


def requirements(extras: list[str]) -> Iterator[str]:
    """Return the dependencies of the package and of these extras, at their lower bounds."""
    setup = configparser.ConfigParser()
    setup.read(SETUP)
    sections = [setup["options"]["install_requires"], *(setup["options.extras_require"][extra] for extra in extras)]
    seen = set()
    for line in "\n".join(sections).splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            pinned = lowest(line.strip())
            name = re.split(r"[\s\[]", pinned)[0]
            if name not in seen | SOURCE_TOOLS:
                yield pinned
            seen.add(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("extras", nargs="*", metavar="EXTRA")
    print("\n".join(requirements(parser.parse_args().extras)))


if __name__ == "__main__":
    main()
