"""The software bill of materials holds every package that setup.cfg requires, with its licence."""

import json
import re
import socket

import pytest
from support.tools import tool


@pytest.fixture(scope="module")
def sbom():
    return tool("sbom")


def test_a_bill_of_materials_needs_no_network_and_is_complete(sbom, capsys, monkeypatch):
    monkeypatch.setattr(socket, "socket", None)
    sbom.main([])
    first = capsys.readouterr().out
    sbom.main([])
    assert capsys.readouterr().out == first, "equal environments give equal files"
    page = json.loads(first)
    assert (page["bomFormat"], page["specVersion"]) == ("CycloneDX", "1.6")
    components = {one["name"]: one for one in page["components"]}
    required = {sbom.canonicalize_name(one.name) for one in sbom.own_requirements()}
    assert {"tensorflow", "keras", "numpy", "pyarrow"} <= required <= components.keys()
    assert len(components) == len(page["components"]) > len(required)
    for one in components.values():
        assert re.fullmatch(rf"pkg:pypi/{re.escape(one['name'])}@\S+", one["purl"])
    references = {one["bom-ref"] for one in components.values()} | {page["metadata"]["component"]["bom-ref"]}
    listed = {one["ref"]: one["dependsOn"] for one in page["dependencies"]}
    assert listed.keys() == references
    assert {other for needed in listed.values() for other in needed} <= references
    assert components["keras"]["purl"] in listed[page["metadata"]["component"]["bom-ref"]]
    assert components["h5py"]["purl"] in listed[components["keras"]["purl"]]


def test_licences_are_named(sbom, capsys):
    sbom.main(["--licenses"])
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "Apache" in rows["tensorflow"]
    assert "BSD" in rows["numpy"]
    assert sum("not stated" in line for line in rows.values()) <= 3


def test_extras_are_named_or_refused(sbom):
    assert "xgboost" in {one.name for one in sbom.own_requirements(["trees"])}
    with pytest.raises(SystemExit, match="expected names among gpu, physics"):
        sbom.own_requirements(["tree"])
