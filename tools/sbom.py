"""Print a software bill of materials: every package installed for ariel_tf, with its version and licence.

    python tools/sbom.py > sbom.json                       CycloneDX 1.6, JSON
    python tools/sbom.py --extras trees,onnx > sbom.json   with the packages of these extras
    python tools/sbom.py --licenses                        a table of names, versions and licences

It reads setup.cfg and the metadata of installed packages, and needs no network. Equal environments give equal files.
"""

import argparse
import configparser
import json
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SETUP = Path(__file__).parents[1] / "setup.cfg"
NOT_STATED = "not stated"
LONGEST_LICENCE = 80


class Package:
    """An installed package.

    Args:
        name: name in the requirement.

    Attributes:
        name: canonical name.
        version, licence: from its metadata; the licence as an SPDX expression if it has one.
        needs: canonical names of the packages that it requires in this environment.

    Raises:
        PackageNotFoundError: it is not installed.
    """

    def __init__(self, name: str):
        found = metadata.distribution(name)
        self.name, self.version = canonicalize_name(name), found.version
        facts: Any = found.metadata
        expression = facts.get("License-Expression")
        self.is_spdx = bool(expression)
        self.licence = expression or _licence(facts)
        self.requires = [Requirement(text) for text in found.requires or ()]
        self.needs: set[str] = set()

    @property
    def purl(self) -> str:
        """Return its package URL."""
        return f"pkg:pypi/{self.name}@{self.version}"


def _licence(facts: Any) -> str:
    """Return the licence from classifiers, else from a short licence field."""
    prefix = "License :: "
    named = [text.split(" :: ")[-1] for text in facts.get_all("Classifier") or () if text.startswith(prefix)]
    named = [text for text in named if text != "OSI Approved"]
    field = (facts.get("License") or "").strip().splitlines()
    if named:
        return " AND ".join(sorted(named))
    return field[0] if field and len(field[0]) <= LONGEST_LICENCE else NOT_STATED


def own_requirements(extras: Iterable[str] = ()) -> list[Requirement]:
    """Return the requirements in setup.cfg.

    Args:
        extras: names of extras to add.

    Raises:
        SystemExit: an unknown extra.
    """
    setup = configparser.ConfigParser()
    setup.read(SETUP, encoding="utf-8")
    texts = [setup["options"]["install_requires"]]
    for extra in extras:
        if extra not in setup["options.extras_require"]:
            raise SystemExit(f"error: --extras: expected names among {', '.join(setup['options.extras_require'])}.")
        texts.append(setup["options.extras_require"][extra])
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def collect(requirements: Iterable[Requirement]) -> tuple[dict[str, Package], list[str]]:
    """Return the installed packages that are required, by name, and the names of those that are not installed."""
    packages: dict[str, Package] = {}
    absent: set[str] = set()
    waiting = [(requirement, extra) for requirement in requirements for extra in ("", *requirement.extras)]
    done: set[tuple[str, str]] = set()
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in done:
            continue
        done.add((name, extra))
        try:
            package = packages.setdefault(name, Package(requirement.name))
        except metadata.PackageNotFoundError:
            absent.add(name)
            continue
        for inner in package.requires:
            if inner.marker is None or inner.marker.evaluate({"extra": extra}):
                package.needs.add(canonicalize_name(inner.name))
                waiting += [(inner, asked) for asked in ("", *inner.extras)]
    return packages, sorted(absent)


def bill(version: str, requirements: Sequence[Requirement], packages: dict[str, Package]) -> dict[str, Any]:
    """Return a CycloneDX document."""
    root = f"pkg:pypi/ariel-tf@{version}"
    direct = sorted({canonicalize_name(one.name) for one in requirements} & packages.keys())
    needed = {root: direct} | {one.purl: sorted(one.needs & packages.keys()) for one in packages.values()}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library", "bom-ref": root, "name": "ariel-tf", "version": version, "purl": root
            }
        },
        "components": [_component(packages[name]) for name in sorted(packages)],
        "dependencies": [
            {"ref": ref, "dependsOn": [packages[name].purl for name in names]} for ref, names in sorted(needed.items())
        ],
    }  # fmt: skip


def _component(package: Package) -> dict[str, Any]:
    facts: dict[str, Any] = {"type": "library", "bom-ref": package.purl, "name": package.name}
    facts |= {"version": package.version, "purl": package.purl}
    if package.licence != NOT_STATED:
        licence = package.licence
        facts["licenses"] = [{"expression": licence} if package.is_spdx else {"license": {"name": licence}}]
    return facts


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python tools/sbom.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--extras", default="", metavar="NAMES", help="extras of ariel_tf to include, with commas")
    parser.add_argument("--licenses", action="store_true", help="print a table of licences instead")
    options = parser.parse_args(arguments)
    setup = configparser.ConfigParser()
    setup.read(SETUP, encoding="utf-8")
    requirements = own_requirements(filter(None, options.extras.split(",")))
    packages, absent = collect(requirements)
    if options.licenses:
        width = max(len(name) for name in packages)
        for name in sorted(packages):
            print(f"{name:{width}s}  {packages[name].version:14s}  {packages[name].licence}")
    else:
        print(json.dumps(bill(setup["metadata"]["version"], requirements, packages), indent=2))
    if absent:
        print(f"not installed, and left out: {', '.join(absent)}", file=sys.stderr)


if __name__ == "__main__":
    main()
