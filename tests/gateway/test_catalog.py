"""The catalog: how it shows itself, its parts, and the model that a typed name means."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from alcf_magics.errors import ModelNotFound, ModelNotReady
from alcf_magics.gateway.catalog import Catalog
from alcf_magics.gateway.listings import build_catalog

GATEWAY = "https://gateway.example/resource_server"


def catalog(live: tuple[str, ...] = (), **clusters: tuple[str, ...]) -> Catalog:
    """Clusters with these models; `live` names the running ones as `cluster:model`."""
    listed = {
        name: {
            "base_url": f"/resource_server/{name}",
            "frameworks": {"fw": {"models": list(models), "endpoints": ["/v1/chat/completions"]}},
        }
        for name, models in clusters.items()
    }
    jobs = {
        name: {
            "running": [{"Models": m} for m in models if f"{name}:{m}" in live],
            "stopped": [{"Models": m} for m in models if f"{name}:{m}" not in live],
        }
        for name, models in clusters.items()
    }
    return build_catalog(GATEWAY, {"clusters": listed}, {}, jobs, {})


TWO = catalog(
    ("red:openai/gpt-oss-120b", "blue:gpt-oss-120b", "blue:Llama-3.1-8B-Instruct"),
    red=("openai/gpt-oss-120b", "meta-llama/Meta-Llama-3.1-8B-Instruct", "google/gemma-4-31B-it"),
    blue=("gpt-oss-120b", "Llama-3.1-8B-Instruct", "BAAI/bge-m3"),
)


@pytest.mark.parametrize(
    ("typed", "place"),
    [
        ("gpt-oss-120b", "blue:gpt-oss-120b"),  # the exact name before another
        ("openai/gpt-oss-120b", "red:openai/gpt-oss-120b"),
        ("OPENAI/GPT-OSS-120B", "red:openai/gpt-oss-120b"),
        ("GPT-oss-120B", "blue:gpt-oss-120b"),
        ("red:gpt-oss-120b", "red:openai/gpt-oss-120b"),
        ("RED:gpt-oss-120b", "red:openai/gpt-oss-120b"),
        # The same model under another name, live before not live.
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "blue:Llama-3.1-8B-Instruct"),
        ("meta-llama-3.1-8b-instruct", "blue:Llama-3.1-8B-Instruct"),
        ("red:Llama-3.1-8B-Instruct", "red:meta-llama/Meta-Llama-3.1-8B-Instruct"),
        ("gemma-4-31b", "red:google/gemma-4-31B-it"),
        ("", "red:openai/gpt-oss-120b"),  # the first live chat model
    ],
)
def test_a_typed_name_means_one_model(typed: str, place: str) -> None:
    """Case, organisation, the table of same names and `cluster:` all lead to the right place."""
    assert TWO.resolve(typed).place == place


def test_a_cluster_narrows_the_choice() -> None:
    """--cluster keeps to that cluster, with and without a name."""
    assert TWO.resolve("openai/gpt-oss-120b", "blue").place == "blue:gpt-oss-120b"
    assert TWO.resolve("", "BLUE").place == "blue:gpt-oss-120b"
    with pytest.raises(ModelNotFound, match=r"no cluster 'green'.*red, blue"):
        TWO.resolve("", "green")


def test_another_organisation_is_another_model() -> None:
    """Two organisations with one model name are two models, unless listed as the same."""
    two = catalog(("red:one/tiny",), red=("one/tiny", "two/tiny"))
    assert two.resolve("two/tiny").name == "two/tiny"
    with pytest.raises(ModelNotFound):
        two.resolve("three/tiny")


def test_a_colon_means_a_cluster_only_before_one() -> None:
    """A colon in a model's own name is part of the name."""
    known = catalog(("red:llama3:8b",), red=("llama3:8b",))
    assert known.resolve("llama3:8b").name == "llama3:8b"
    assert known.resolve("red:llama3:8b").name == "llama3:8b"


def test_an_unknown_name_gets_the_three_nearest() -> None:
    """The nearest names come first, and never more than three."""
    with pytest.raises(ModelNotFound) as caught:
        TWO.resolve("lama")
    nearest = caught.value.next_step.split(". ")[0].removeprefix("Nearest: ").split(", ")
    assert len(nearest) == 3
    assert set(nearest[:2]) == {"Llama-3.1-8B-Instruct", "meta-llama/Meta-Llama-3.1-8B-Instruct"}


def test_no_live_chat_model_is_said() -> None:
    """An embedding model is no default, and neither is one that does not run."""
    known = catalog(("blue:BAAI/bge-m3",), blue=("BAAI/bge-m3", "gpt-oss-20b"))
    with pytest.raises(ModelNotReady, match="No chat model is live"):
        known.resolve()


def test_live_models_come_first_in_the_gateways_order() -> None:
    """The table is sorted by state alone; the default is its first live chat model."""
    assert [m.place for m in TWO][:3] == [
        "red:openai/gpt-oss-120b",
        "blue:gpt-oss-120b",
        "blue:Llama-3.1-8B-Instruct",
    ]
    assert TWO[0] == TWO.resolve()


def test_the_default_is_of_the_first_family_that_is_live() -> None:
    """The order of models.yaml counts, then the gateway's; a family that nobody knows is last."""
    names = ("genslm-test", "facebook/sam3", "new/Thing-7B", "AuroraGPT-7B", "gpt-oss-20b")
    known = catalog(tuple(f"red:{name}" for name in names), red=names)
    assert known.resolve().name == "gpt-oss-20b"
    assert catalog(tuple(f"red:{n}" for n in names[:4]), red=names).resolve().name == names[3]
    assert catalog(tuple(f"red:{n}" for n in names[:3]), red=names).resolve().name == names[2]
    with pytest.raises(ModelNotReady, match="No chat model is live"):
        catalog(("red:genslm-test", "red:facebook/sam3"), red=names).resolve()


@pytest.mark.parametrize("name", ["genslm-test", "facebook/sam3", "intfloat/e5-mistral-7b"])
def test_what_is_no_chat_model_is_not_shown_as_one(name: str) -> None:
    """Neither in the table nor among the capabilities."""
    assert "chat" not in catalog((), red=(name,))[0].capabilities.words


def test_select_narrows_by_pattern_cluster_and_state() -> None:
    """A pattern is part of a name, or a shell pattern."""
    assert {m.name for m in TWO.select("LLAMA")} == {
        "Llama-3.1-8B-Instruct",
        "meta-llama/Meta-Llama-3.1-8B-Instruct",
    }
    assert {m.place for m in TWO.select("gpt-*", "blue")} == {"blue:gpt-oss-120b"}
    assert all(m.live for m in TWO.select(live=True))
    assert len(TWO.select("[")) == 0


def test_the_text_table_is_aligned_and_says_when_it_is_empty() -> None:
    """Each column starts at one place; an empty table is not a blank line."""
    lines = repr(TWO).splitlines()
    start = lines[0].index("cluster")
    assert {line[start:].split()[0] for line in lines[1:]} == {"red", "blue"}
    assert "no model matches" in repr(TWO.select("zzz"))


def test_of_few_models_it_is_said_what_they_are() -> None:
    """Below the table, each name once; a long table has no room for it."""
    described = [replace(model, description="small") for model in catalog(a=("m", "n"), b=("m",))]
    few = Catalog(tuple(described))
    assert repr(few).endswith("m: small\nn: small")
    assert few._repr_html_().count("small") == 2
    assert "small" not in repr(Catalog((*described, *described)))


def test_to_pandas_gives_the_same_rows() -> None:
    """The frame has the table's columns, live first."""
    frame = TWO.to_pandas()
    assert list(frame["model"]) == [m.name for m in TWO]
    assert list(frame.columns) == ["model", "cluster", "status", "capabilities", "context window"]


def test_two_clusters_for_one_prompt_are_one_too_many() -> None:
    """`-m blue:…` with --cluster red is refused; a configured `blue:…` gives way to --cluster."""
    with pytest.raises(ModelNotFound, match="red was asked for"):
        TWO.resolve("blue:gpt-oss-120b", "red")
    assert TWO.resolve("RED:gpt-oss-120b", "red").cluster == "red"
    configured = TWO.without_cluster("blue:gpt-oss-120b")
    assert TWO.resolve(configured, "red").place == "red:openai/gpt-oss-120b"
    assert TWO.without_cluster("llama:8b") == "llama:8b"


def test_exact_spelling_goes_before_another_case() -> None:
    """Of two live models whose names differ by case, the one typed is meant."""
    two = catalog(live=("red:GPT-X", "blue:gpt-x"), red=("GPT-X",), blue=("gpt-x",))
    assert two.resolve("gpt-x").cluster == "blue"
    assert two.resolve("GPT-X").cluster == "red"


HOSTILE = catalog(("red:<b>a</b>",), red=("<b>a</b>", "c"), blue=("d",))


def as_shown(value: object) -> dict[str, str]:
    """What IPython makes of a value, without our extension."""
    from IPython.core.formatters import DisplayFormatter

    shown: dict[str, str] = DisplayFormatter().format(value)[0]  # type: ignore[no-untyped-call]
    return shown


def test_a_notebook_shows_a_table_and_a_terminal_text_without_the_extension() -> None:
    """The catalog shows itself: names escaped, the notes and an empty table said in both."""
    noted = replace(HOSTILE, notes=("red: states not <known>",))
    shown = as_shown(noted)
    assert shown["text/plain"] == repr(noted)
    page = shown["text/html"]
    assert page.startswith("<table>")
    assert page.count("<tr>") == 1 + len(noted)
    assert "&lt;b&gt;a&lt;/b&gt;" in page
    assert "<b>" not in page
    assert "red: states not &lt;known&gt;" in page
    empty = as_shown(HOSTILE.select("zzz"))
    assert "no model matches; all of them: %alcf_models" in empty["text/html"]
    assert "(no model matches; all of them: %alcf_models)" in empty["text/plain"]


def test_each_state_has_a_dot_that_is_not_read_aloud() -> None:
    """Colour says nothing that the word beside it does not say."""
    page = as_shown(HOSTILE)["text/html"]
    assert page.count('<span aria-hidden="true"') == len(HOSTILE)
    assert page.index("live") < page.index("offline")


def test_an_old_table_says_its_age() -> None:
    """A fresh one does not; one made up of nothing read has none."""
    assert "ago" not in repr(replace(TWO, read_at=time.time() - 1))
    assert "ago" not in repr(TWO)
    old = replace(TWO, read_at=time.time() - 125)
    assert "2 min 5 s ago." in repr(old)
    assert "2 min 5 s ago." in old._repr_html_()


def test_the_beginning_of_one_models_name_means_it() -> None:
    """Of more than one it means none, and neither do two letters."""
    assert TWO.resolve("gemma-4").place == "red:google/gemma-4-31B-it"
    assert TWO.resolve("llama").place == "blue:Llama-3.1-8B-Instruct"
    for beginning in ("ge", "g"):
        with pytest.raises(ModelNotFound):
            TWO.resolve(beginning)


@pytest.mark.parametrize(("name", "cluster"), [("red:my-alias", ""), ("my-alias", "red")])
def test_a_name_at_a_cluster_goes_there_as_it_was_typed(name: str, cluster: str) -> None:
    """The server knows aliases that it lists nowhere; without a cluster it means nothing."""
    found = TWO.resolve(name, cluster)
    assert (found.place, str(found.status)) == ("red:my-alias", "unknown")
    with pytest.raises(ModelNotFound):
        TWO.resolve("my-alias")
