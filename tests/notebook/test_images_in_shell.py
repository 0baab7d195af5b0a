"""Images in a prompt: what is sent, in which order, what is said of it, and what is refused."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import respx

import alcf_magics
from alcf_magics.sandbox import Sandbox
from support.images import encoded, file, noise, sent
from support.shell import Cell, Shell

MODEL = "-m Llama-4-Maverick-17B-128E-Instruct"
#: Values of every kind, as a person has them.
VALUES = """
import numpy as np
from PIL import Image
from matplotlib.figure import Figure
fig = Figure(figsize=(3, 2))
fig.subplots().plot([1, 2])
red = Image.new("RGB", (30, 20), "red")
grey = np.zeros((5, 7), "uint8")
"""


def messages(sandbox: Sandbox) -> list[Any]:
    """The messages of the last chat that arrived."""
    bodies = [r.body for r in sandbox.requests if r.path.endswith("/chat/completions")]
    return list(bodies[-1]["messages"])


def parts(sandbox: Sandbox) -> list[Any]:
    """The last message that arrived: its texts, and the size of each of its images."""
    return [p if isinstance(p, str) else p.size for p in sent(messages(sandbox)[-1])]


def asked(sandbox: Sandbox) -> int:
    return sum(r.path.endswith("/chat/completions") for r in sandbox.requests)


def ask(shell: Shell, prompt: str, options: str = "") -> Cell:
    cell = shell.run(f"%%alcf {MODEL} {options}\n{prompt}")
    assert cell.status == "ok", cell.said
    return cell


@pytest.fixture
def values(shell: Shell) -> Shell:
    assert shell.run(VALUES).status == "ok"
    return shell


# What is sent


def test_an_image_goes_along(values: Shell, in_sandbox: Sandbox) -> None:
    """Behind the prompt; a grey line says what it is, and the answer what arrived."""
    cell = ask(values, "what is it?", "--image red")
    assert parts(in_sandbox) == ["what is it?", (30, 20)]
    assert "with red (image 30×20 PNG, 1 kB)" in cell.html
    assert "1. 30×20 image/png" in cell.result["text/plain"]  # type: ignore[index]


def test_images_are_in_the_order_of_the_prompt(values: Shell, in_sandbox: Sandbox) -> None:
    """Those in braces where they stand, those of --image last, as they were named."""
    ask(values, "Is {{red}} like\n{{ red.copy }}", "--image grey --image=red --raw")
    assert parts(in_sandbox) == ["Is {{red}} like\n{{ red.copy }}", (7, 5), (30, 20)]
    ask(values, "Is {{red}} like {{fig}}?", "--image grey --image red")
    first, red, second, figure, mark, grey, again = parts(in_sandbox)
    assert (first, red, second, mark) == ("Is ", (30, 20), " like ", "?")
    assert figure == pytest.approx((300, 200), rel=0.2)
    assert (grey, again) == ((7, 5), (30, 20))
    ask(values, "{{red}}{{red}}")
    assert parts(in_sandbox) == [(30, 20), (30, 20)]


def test_in_braces_figures_are_images_and_arrays_are_text(
    values: Shell, in_sandbox: Sandbox
) -> None:
    """An array's numbers may be what is asked about; a figure's axes stand for it."""
    ask(values, "{{fig.axes[0]}} {{grey}}")
    image, text = parts(in_sandbox)
    assert image == pytest.approx((300, 200), rel=0.2)
    assert "ndarray of shape 5 × 7" in text


def test_files_and_cells_stand_before(
    values: Shell, in_sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks in front of a prompt stay there."""
    monkeypatch.chdir(home)
    Path("a.txt").write_text("notes")
    ask(values, "{{red}} see", "-f a.txt")
    block, image, text = parts(in_sandbox)
    assert "notes" in block
    assert (image, text) == ((30, 20), " see")


@pytest.mark.parametrize(
    "word",
    ["red", "$red", "{red}", "{{red}}", "'{{ red }}'", "album[0]", "red.copy_", "box.a"],
)
def test_a_name_is_a_path_to_a_value(values: Shell, in_sandbox: Sandbox, word: str) -> None:
    """As in a prompt, with braces or without."""
    values.run("from types import SimpleNamespace as N\nalbum = [red]; box = N(a=red)")
    values.run("red.copy_ = red")
    ask(values, "see", f"--image {word}")
    assert parts(in_sandbox)[1:] == [(30, 20)]


def test_a_variable_may_hold_several(values: Shell, in_sandbox: Sandbox) -> None:
    """A list of images, a path, an address."""
    values.run("album = [red, grey]; path = 'x/a b.png'")
    cell = ask(values, "see", "--image album")
    assert parts(in_sandbox)[1:] == [(30, 20), (7, 5)]
    assert "album[1] (image 7×5 PNG" in cell.html


def test_a_path_is_a_file(
    values: Shell, in_sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In quotes where it has spaces, under home, by a variable; what it holds is sent as it is."""
    monkeypatch.chdir(home)
    Path("a b.png").write_bytes(file())
    Path("plot.png").write_bytes(file("JPEG", (9, 8)))
    values.run("from pathlib import Path\np = Path('plot.png'); where = '.'")
    ask(
        values,
        "see",
        "--image 'a b.png' --image ~/plot.png --image p --image $where/plot.png --image plot.png",
    )
    assert parts(in_sandbox)[1:] == [(64, 48), (9, 8), (9, 8), (9, 8), (9, 8)]


def test_an_address_is_fetched_here(values: Shell, in_sandbox: Sandbox) -> None:
    """And sent as data, so that no model server asks for it."""
    with respx.mock(assert_all_called=False) as mocked:
        mocked.route(host="127.0.0.1").pass_through()
        route = mocked.get("https://example.org/a.png").respond(content=file())
        cell = ask(values, "see", "--image https://example.org/a.png")
    assert "authorization" not in route.calls.last.request.headers
    assert parts(in_sandbox)[1:] == [(64, 48)]
    assert "with https://example.org/a.png (image 64×48 PNG" in cell.html


def test_an_image_that_was_scaled_is_said(values: Shell, in_sandbox: Sandbox) -> None:
    """In the grey line, with its own size."""
    values.run("large = Image.new('RGB', (4096, 2048))")
    cell = ask(values, "see", "--image large")
    assert parts(in_sandbox)[1:] == [(2048, 1024)]
    assert re.search(
        r"with large \(image 2048×1024 PNG, \d+ kB, scaled from 4096×2048\)", cell.html
    )


def test_a_line_has_images_too(values: Shell, in_sandbox: Sandbox) -> None:
    """`%alcf` does what `%%alcf` does."""
    values.run(f"%alcf {MODEL} --image red what is {{{{grey.shape}}}}?")
    assert parts(in_sandbox) == ["what is (5, 7)?", (30, 20)]


def test_an_interrupt_ends_the_fetching(values: Shell, in_sandbox: Sandbox) -> None:
    """Of a server that does not answer; what is waited for is said meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/a.png"
        cell = values.run(
            f"%%alcf {MODEL} --image {address}\nsee",
            interrupt=lambda cell: "Fetching http://127.0.0.1" in repr(cell.outputs),
        )
    assert cell.ename == "KeyboardInterrupt"
    assert asked(in_sandbox) == 0


# What is refused


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--image ''", "The name of an image is empty"),
        ("--image nobody", "--image nobody: there is no such variable and no such file (here is"),
        ("--image no/such.png", "there is no such variable and no such file"),
        ("--image red.nothing", "--image red.nothing: 'Image' object has no attribute"),
        ("--image red.copy()", "no call"),
        ("--image text", "There is no file hello"),
        ("--image number", "number (int) is no image. Nothing was sent. An image is a figure"),
        ("--image empty", "--image empty: an empty list"),
        ("--image cube", "cube is an array of 2×3×4×5"),
        ("--image ftp://a/b.png", "is no http(s) address"),
        ("--image", "expected one argument"),
        ("-s '{{fig}}'", "--system {{fig}}: an image cannot stand in the system text"),
        ("-s 'Like {{fig}} and $text'", "put {{fig}} into the prompt, or send it with --image fig"),
    ],
)
def test_what_is_no_image_is_one_line(
    values: Shell, in_sandbox: Sandbox, options: str, said: str
) -> None:
    """That says what to type; nothing is sent."""
    values.run("text = 'hello'; number = 3; empty = []; cube = np.zeros((2, 3, 4, 5))")
    cell = values.run(f"%%alcf {MODEL} {options}\nsee")
    assert cell.status == "error"
    assert said in cell.said
    assert "Traceback" not in cell.said
    assert asked(in_sandbox) == 0


def test_a_model_without_vision_is_refused(values: Shell, in_sandbox: Sandbox) -> None:
    """With the live ones that have it, whether its cluster or its family says so."""
    for name in ("metis:gpt-oss-120b", "sophia:openai/gpt-oss-120b", "llama-3.1-8b-instruct"):
        cell = values.run(f"%%alcf -m {name} --image red\nsee")
        assert cell.ename == "RequestRefused"
        assert "takes no images" in cell.error_text
        assert "-m metis:Llama-4-Maverick-17B-128E-Instruct" in cell.error_text
        assert "-m minerva:google/gemma-4-31B-it" in cell.error_text
        assert "sophia:google" not in cell.error_text  # it is starting
    assert asked(in_sandbox) == 0


def test_without_a_model_one_that_sees_is_taken(values: Shell, in_sandbox: Sandbox) -> None:
    """The grey line names it, as ever."""
    cell = values.run("%%alcf --image red\nsee")
    assert cell.status == "ok"
    assert "Llama-4-Maverick-17B-128E-Instruct · metis" in cell.html


def test_a_prompt_of_images_alone_is_empty(values: Shell, in_sandbox: Sandbox) -> None:
    """--image asks nothing."""
    cell = values.run(f"%%alcf {MODEL} --image red\n \n")
    assert "The prompt is empty" in cell.said


# Chats


def test_a_chat_keeps_its_images(values: Shell, in_sandbox: Sandbox) -> None:
    """They are sent with each turn, and shown as marks."""
    ask(values, "see {{red}}", "--chat art")
    values.run("%%alcf -c\nand now?")
    first, _, last = messages(in_sandbox)
    assert [p if isinstance(p, str) else p.size for p in sent(first)] == ["see ", (30, 20)]
    assert last["content"] == "and now?"
    chat = alcf_magics.session().chats["art"]
    for shown in (repr(chat), chat._repr_html_(), repr(chat.messages), repr(chat.turns)):
        assert "[image 30×20 PNG, 1 kB]" in shown
        assert "base64" not in shown
    history = alcf_magics.session().history
    assert "see [image 30×20 PNG" in str(history.rows())
    assert "base64" not in repr(history)
    assert "base64" not in history._repr_html_()
    assert history[0].prompt == "see "
    cell = values.run("%%alcf -c -m metis:gpt-oss-120b\nand you?")
    assert "gpt-oss-120b on metis takes no images" in cell.error_text


def test_trim_leaves_out_the_oldest_images(values: Shell, in_sandbox: Sandbox) -> None:
    """Where all are too large for one request; the line says so."""
    values.names["np"].random.seed(0)
    values.run("big = [np.random.randint(0, 255, (480, 480, 3), 'uint8') for _ in range(3)]")
    ask(values, "one", "--chat big --image big[0]")
    values.run("%%alcf -c --image big[1]\ntwo")
    cell = values.run("%%alcf -c --image big[2]\nthree")
    assert cell.ename == "RequestRefused"
    assert "MiB with 3 images; the gateway takes 2.50 MiB" in cell.error_text
    assert "--trim" in cell.error_text
    cell = values.run("%%alcf -c --trim --image big[2]\nthree")
    assert cell.status == "ok", cell.said
    assert "the oldest image left out of what was sent" in cell.html
    assert parts(in_sandbox) == ["three", (480, 480)]
    text, mark = sent(messages(in_sandbox)[0])
    assert text == "one"
    assert "[image 480×480 PNG" in mark


# Python


def test_python_takes_images(values: Shell, in_sandbox: Sandbox) -> None:
    """One, or a list; with a prompt, and with messages."""
    values.run(
        "session = __import__('alcf_magics').session()\n"
        "m = 'Llama-4-Maverick-17B-128E-Instruct'\n"
        "session.ask('one', m, images=grey)\n"
        "text = ''.join(session.stream('two', m, images=[red, grey]))"
    )
    assert parts(in_sandbox) == ["two", (30, 20), (7, 5)]
    values.run("session.ask([dict(role='user', content='three')], m, images=(red,))")
    assert parts(in_sandbox) == ["three", (30, 20)]
    values.run("session.chats['x'] = __import__('alcf_magics').Chat()")
    values.run("session.chats['x'].ask('four', m, images=fig)")
    assert parts(in_sandbox)[0] == "four"
    cell = values.run("await session.aask('five', m, images=[fig, red])")
    assert cell.status == "ok"
    assert parts(in_sandbox)[2] == (30, 20)
    for wrong, said in (
        ("session.ask('x', 'metis:gpt-oss-120b', images=red)", "takes no images"),
        ("session.ask('x', m, images='no.png')", "There is no file no.png"),
        ("session.ask('x', m, images=[red, 3])", "image 2 (int) is no image"),
        ("session.ask([dict(role='assistant', content='x')], m, images=red)", "role user"),
        ("session.ask('', m, images=red)", "The prompt is empty"),
    ):
        cell = values.run(wrong)
        assert cell.ename == "RequestRefused", wrong
        assert said in cell.error_text


def test_python_is_warned_of_scaling(values: Shell, in_sandbox: Sandbox) -> None:
    """Where nobody else would say it."""
    session = alcf_magics.session()
    image = noise((10, 10)).resize((3000, 30))
    with pytest.warns(UserWarning, match="the image: image 2048×20 PNG, .* scaled from 3000×30"):
        session.ask("see", "Llama-4-Maverick-17B-128E-Instruct", images=encoded(image))


def test_the_same_request_is_sent_again(values: Shell, in_sandbox: Sandbox) -> None:
    """A replay has the images of the first one."""
    ask(values, "see", "--image red")
    before = messages(in_sandbox)
    values.run("alcf_magics = __import__('alcf_magics')\nalcf_magics.session().history.replay(0)")
    assert messages(in_sandbox) == before
    assert asked(in_sandbox) == 2


# Tab


def test_tab_names_what_can_be_sent(values: Shell, home: Path) -> None:
    """Variables that are images, and files that are called so."""
    (home / "rest.png").write_bytes(b"")
    (home / "rest.txt").write_text("")
    (home / "record").mkdir()
    values.run(f"import os; os.chdir({str(home)!r})\nrest = 3; reds = 'text'; regrid = grey")
    code = "%%alcf --image re"
    context = SimpleNamespace(full_text=code, cursor_line=0, cursor_position=len(code))
    found = values.ip.Completer.custom_matchers[-1](context)["completions"]
    assert [each.text for each in found] == ["red", "regrid", "record/", "rest.png"]
