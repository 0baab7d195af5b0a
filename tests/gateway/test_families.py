"""What the tables of models.yaml say of models and servers."""

from __future__ import annotations

import sys
import types

import pytest

from alcf_magics.errors import AlcfError
from alcf_magics.gateway import families
from alcf_magics.gateway.families import capabilities_of, refused_by, same_model


@pytest.mark.parametrize(
    ("name", "words", "levels"),
    [
        ("openai/gpt-oss-120b", ("chat", "tools", "reasoning"), ("low", "medium", "high")),
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", ("chat", "tools"), ()),
        ("meta-llama/Meta-Llama-3-8B-Instruct", ("chat",), ()),
        ("Llama-4-Maverick-17B-128E-Instruct", ("chat", "tools", "vision"), ()),
        ("google/gemma-4-31B-it", ("chat", "tools", "vision", "reasoning"), ()),
        ("mistralai/Mistral-Large-Instruct-2407", ("chat", "tools"), ()),
        ("nvidia/Llama-3.1-Nemotron-70B-Instruct-HF", ("chat", "tools"), ()),
        ("argonne/AuroraGPT-7B", ("chat",), ()),
        ("Salesforce/SFR-Embedding-Mistral", ("embeddings",), ()),
        ("nobody/knows-it", ("chat",), ()),
    ],
)
def test_families_tell_capabilities(
    name: str, words: tuple[str, ...], levels: tuple[str, ...]
) -> None:
    """Each family of models.yaml is found by its names."""
    capabilities = capabilities_of(name)
    assert capabilities.words == words
    assert capabilities.reasoning_levels == levels


def test_a_family_without_a_figure_has_none() -> None:
    """What is not known is None, and not a guess; what is known is in tokens."""
    assert capabilities_of("openai/gpt-oss-20b").context_window == 131_072
    assert capabilities_of("openai/gpt-oss-20b").max_output == 131_072
    assert capabilities_of("nobody/knows-it").context_window is None


@pytest.mark.parametrize(
    ("typed", "known", "same"),
    [
        ("gpt-oss-120b", "openai/gpt-oss-120b", True),
        ("OpenAI/GPT-OSS-120B", "openai/gpt-oss-120b", True),
        ("openai/gpt-oss-120b", "other/gpt-oss-120b", False),
        ("Llama-3.1-8B-Instruct", "meta-llama/Meta-Llama-3.1-8B-Instruct", True),
        ("meta-llama/Llama-3.3-70B-Instruct", "Meta-Llama-3.3-70B-Instruct", True),
        ("gemma-4-31B", "google/gemma-4-31B-it", True),
        ("gemma-4-31B", "google/gemma-3-27b-it", False),
        ("", "openai/gpt-oss-120b", False),
    ],
)
def test_two_names_may_mean_one_model(typed: str, known: str, same: bool) -> None:
    """Without regard to case, with one organisation or none, or by the table."""
    assert same_model(typed, known) is same
    assert same_model(known, typed) is same


def test_what_a_server_refuses_is_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first row whose pattern matches `cluster/framework` counts; no row refuses nothing."""
    assert refused_by("anything", "whatever") == {"chat_template_kwargs"}
    rows = [
        {"match": "red/*", "refuses": ["seed", "logit_bias"]},
        {"match": "*/vllm"},
        {"match": "red/vllm", "refuses": ["never"]},
    ]
    monkeypatch.setattr(families, "_tables", lambda: {"endpoints": rows})
    assert refused_by("red", "vllm") == {"seed", "logit_bias"}
    assert refused_by("blue", "vllm") == frozenset()
    assert refused_by("blue", "api") == frozenset()


def test_a_file_with_the_name_of_a_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `yaml.py` beside the notebook is imported in place of the package."""
    other = types.ModuleType("yaml")
    other.__file__ = "/home/alice/yaml.py"
    monkeypatch.setitem(sys.modules, "yaml", other)
    families._tables.cache_clear()
    with pytest.raises(AlcfError, match=r"^/home/alice/yaml.py has the name .* restart the kernel"):
        capabilities_of("gpt-oss-120b")
