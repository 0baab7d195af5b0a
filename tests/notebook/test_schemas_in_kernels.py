"""`--schema` in a real kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from alcf_magics.sandbox import Sandbox
from support.kernels import Kernel
from support.logins import log_in

pytestmark = pytest.mark.kernel

CITY = """
%load_ext alcf_magics
import dataclasses
@dataclasses.dataclass
class City:
    name: str
    population: int
"""


def test_a_class_of_a_cell_is_what_comes_back(kernel: Kernel, sandbox: Sandbox, home: Path) -> None:
    """As it is defined now; an answer that never fits is one line."""
    log_in(sandbox, home)
    kernel.run(CITY)
    cell = kernel.run("%%alcf -m metis:gpt-oss-120b --schema list[City] --out cities\nhi")
    assert cell.status == "ok"
    assert kernel.value("isinstance(_, type(cities)) and type(cities.parsed[0]) is City") == "True"
    kernel.run(CITY.replace("population", "people"))
    kernel.run("%%alcf -m metis:gpt-oss-120b --schema City --out city\nhi")
    assert kernel.value("city.parsed.people") == "1"
    sandbox.answer = '{"name": "Rome"}'
    wrong = kernel.run("%%alcf -m metis:gpt-oss-120b --schema City --out city\nhi")
    assert wrong.ename == "AnswerInvalid"
    assert "at people: Field required" in wrong.evalue
    assert kernel.value("city.text") == '\'{"name": "Rome"}\''
