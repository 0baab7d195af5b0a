"""Which versions of other packages are let in: each bound was found by one that fails."""

from __future__ import annotations

from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement

WANTED = {one.name: one for one in map(Requirement, requires("alcf-magics") or [])}


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("anyio", "4.4.0"),  # a script that asks once never ends
        ("markdown-it-py", "3.0.0"),  # a hostile table takes gigabytes
        ("httpx", "1.0.dev3"),  # has no AsyncClient
    ],
)
def test_a_version_that_fails_is_not_let_in(name: str, version: str) -> None:
    """Also where somebody asks for pre-releases."""
    assert not WANTED[name].specifier.contains(version, prereleases=True)


def test_each_package_has_a_floor_that_is_tried() -> None:
    """`.ci/run` installs the floors, and can only read `>=` at the beginning."""
    tried = {"sandbox", "schema", "demo"}
    for one in WANTED.values():
        extras = {extra for extra in tried if one.marker and one.marker.evaluate({"extra": extra})}
        if one.name != "alcf-magics" and (one.marker is None or extras):
            assert [s.operator for s in one.specifier].count(">=") == 1, one
