"""Images within messages: what a reader sees of them, what they cost, and what is left out."""

from __future__ import annotations

import copy
import gc
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alcf_magics.errors import RequestRefused
from alcf_magics.gateway import body_size
from alcf_magics.gateway.asking import Alone, InChat
from alcf_magics.gateway.body_size import BODY_LIMIT, json_size
from alcf_magics.gateway.catalog import Catalog
from alcf_magics.gateway.chat import ChatRequest, Message, estimate
from alcf_magics.gateway.conversations import Chat
from alcf_magics.gateway.families import capabilities_of
from alcf_magics.gateway.image_headers import header_of
from alcf_magics.gateway.image_parts import DataUrl, image_part
from alcf_magics.gateway.models import Capabilities, Model, Status
from alcf_magics.gateway.vision import check_vision
from support.completions import PLACE, completion
from support.images import encoded, file, noise

PNG = image_part(file(size=(640, 480)), "image/png")
SEEING = replace(PLACE, capabilities=Capabilities(vision=True, vision_known=True))


def asked(*parts: Any, text: str = "what is it?") -> ChatRequest:
    content = [{"type": "text", "text": text}, *parts]
    return ChatRequest.of(PLACE.name, [{"role": "user", "content": content}])


def large(number: int) -> dict[str, Any]:
    """An image of about a megabyte, another one for each number."""
    image = noise((600, 580))
    image.paste((number, 0, 0), (0, 0, 9, 9))
    return image_part(encoded(image), "image/png")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP"])
@pytest.mark.parametrize("size", [(1, 1), (640, 480), (300, 5000)])
def test_the_first_bytes_tell_what_an_image_is(format: str, size: tuple[int, int]) -> None:
    """The same as a decoder says."""
    header = header_of(file(format, size))
    assert header is not None
    assert (header.format.upper(), header.width, header.height) == (format, *size)
    assert header.mime == f"image/{format.lower()}"


def test_every_kind_of_webp_is_told() -> None:
    """Lossless, and with a transparent ground."""
    for more in ({"lossless": True}, {"exif": b"Exif\0\0" + b"x" * 10}):
        header = header_of(file("WEBP", (30, 20), **more))
        assert header is not None
        assert (header.width, header.height) == (30, 20)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_any_beginning_of_a_file_is_read_without_harm(format: str) -> None:
    """Cut anywhere, it is an image of the same size or none."""
    data = file(format)
    whole = header_of(data)
    assert {header_of(data[:end]) for end in range(min(len(data), 700))} <= {whole, None}


def test_a_jpeg_with_a_preview_has_its_own_size() -> None:
    """Not that of what stands in its other segments."""
    preview = file("JPEG", (16, 12))
    header = header_of(file("JPEG", (64, 48), comment=preview))
    assert header is not None
    assert (header.width, header.height) == (64, 48)


# What a reader sees


def test_a_reader_sees_a_mark_instead_of_the_data() -> None:
    """In every repr, in the transcript, in the history's row; the data itself is what is sent."""
    request = asked(PNG)
    answered = completion("yes")
    answered = replace(answered, request=request)
    chat = Chat()
    along = InChat(chat, None)
    along.along(request, SEEING, keeps_system=True, trim=False)
    along.begin()
    along.keep(answered)
    mark = "[image 640×480 PNG, 2 kB]"
    for shown in (
        repr(request),
        repr(request.messages),
        repr(chat.messages),
        repr(chat),
        chat._repr_html_(),
        answered.prompt_shown,
        repr(chat.turns),
    ):
        assert mark in shown
        assert "base64" not in shown
    assert answered.prompt == "what is it?"
    assert "data:image/png;base64,iVBOR" in json.dumps(request.to_json())


def test_parts_are_plain_data() -> None:
    """They are written as JSON, hashed, copied and pickled as what they are."""
    request = asked(PNG)
    body = request.to_json()
    assert json.loads(json.dumps(body)) == body
    assert isinstance(PNG["image_url"]["url"], str)
    for again in (copy.deepcopy(request), pickle.loads(pickle.dumps(request))):
        assert again == request
        assert "[image 640×480" in repr(again)


def test_an_image_is_kept_once_however_often_it_is_sent() -> None:
    """Read from a message, from a file or from a pickle, it is the same object; then it goes."""
    part = large(200)
    first = asked(part).messages[0].images[0]["image_url"]["url"]
    second = Message.of(json.loads(json.dumps(asked(part).messages[0].to_json())))
    assert second.images[0]["image_url"]["url"] is first
    assert pickle.loads(pickle.dumps(first)) is first
    from alcf_magics.gateway import image_parts

    count = len(image_parts._KNOWN)
    del first, second, part
    gc.collect()
    assert len(image_parts._KNOWN) < count


@pytest.mark.parametrize(
    ("url", "mark"),
    [
        ("data:image/png;base64,%%%", "[image 1 kB]"),
        ("data:image/png;base64,", "[image 1 kB]"),
        ("https://example.org/a.png", "[image at https://example.org/a.png]"),
    ],
)
def test_an_image_that_cannot_be_read_has_a_mark_too(url: str, mark: str) -> None:
    """A person may send anything."""
    for image in ({"url": url}, url):
        message = asked({"type": "image_url", "image_url": image}).messages[0]
        assert mark in message.shown
        assert message.image_tokens > 0
        assert "base64" not in repr(message)


# What they cost


def test_tokens_of_an_image_go_by_its_pixels() -> None:
    """Not by the letters of its data."""
    messages = asked(large(1)).messages
    assert 400 < estimate(messages) < 500
    assert estimate(asked(PNG, PNG).messages) == 2 * (640 * 480 // 750) + 2
    assert DataUrl.of("data:image/png;base64,").tokens == 85


def test_a_body_that_is_too_large_is_refused_with_its_size() -> None:
    """By images or by text, alone or in a chat; the next step fits."""
    for asking in (Alone(), InChat(Chat(), None)):
        with pytest.raises(RequestRefused, match=r"3.99 MiB with 3 images; .* 2.50 MiB") as caught:
            asking.along(asked(*map(large, range(3))), SEEING, keeps_system=True, trim=False)
        assert "--trim" not in str(caught.value)
        with pytest.raises(RequestRefused, match=r"would have 2.\d\d MiB; the gateway takes"):
            asking.along(asked(text="ü" * (BODY_LIMIT // 2)), SEEING, keeps_system=True, trim=False)


def test_the_size_is_that_of_the_body_that_is_sent() -> None:
    """As httpx writes it, or a little more."""
    import httpx

    body = asked(PNG, text='Überall\n"quoted" 🙂').to_json()
    sent = len(httpx.Request("POST", "http://a", json=body).content)
    assert sent <= json_size(body) <= sent + 50


# What is left out of a chat


def kept(chat: Chat, request: ChatRequest, place: Model, trim: bool) -> tuple[ChatRequest, str]:
    """Ask in a chat; what was sent, and what the line says of it."""
    along = InChat(chat, None)
    request = along.along(request, place, keeps_system=True, trim=trim)
    along.begin()
    answered = replace(completion("yes", usage=None), request=request, place=place)
    said = along.about(answered)
    along.keep(answered)
    return request, said


def test_trim_leaves_out_the_oldest_images_first() -> None:
    """As many as it takes, each with a mark in its place; all texts go along."""
    chat = Chat()
    for number in range(2):
        kept(chat, asked(large(number), text=f"q{number}"), SEEING, trim=number > 0)
    with pytest.raises(RequestRefused, match=r"with 3 images.*--trim"):
        kept(chat, asked(large(2), text="q2"), SEEING, trim=False)
    request, said = kept(chat, asked(large(2), text="q2"), SEEING, trim=True)
    assert "the 2 oldest images left out of what was sent" in said
    assert [len(m.images) for m in request.messages if m.role == "user"] == [0, 0, 1]
    text = "".join(message.text for message in request.messages)
    assert "q0" in text
    assert "600×580 PNG, 1,045 kB, left out]" in text
    assert [len(turn.question[0].images) for turn in chat.turns] == [1, 1, 1]


def test_images_go_before_turns_where_a_window_is_full() -> None:
    """Turns stay as long as leaving out images is enough."""
    place = replace(SEEING, capabilities=replace(SEEING.capabilities, context_window=900))
    chat = Chat()
    kept(chat, asked(PNG, text="first"), place, trim=True)
    kept(chat, asked(PNG, text="second"), place, trim=True)
    request, said = kept(chat, asked(PNG, text="third"), place, trim=True)
    assert [len(m.images) for m in request.messages if m.role == "user"] == [0, 1, 1]
    assert "the oldest image left out of what was sent" in said
    request, said = kept(chat, asked(text="x" * 3560), place, trim=True)
    assert sum(len(message.images) for message in request.messages) == 0
    assert "the 3 oldest images and turn" in said


def test_a_file_brings_back_a_chat_with_images_that_were_left_out(tmp_path: Path) -> None:
    """The images that were asked about, where they were asked."""
    chat = Chat()
    for number in range(4):
        kept(chat, asked(large(number), text=f"q{number}"), SEEING, trim=True)
    chat.save(tmp_path / "chat")
    again = Chat.load(tmp_path / "chat")
    assert again.messages == chat.messages
    assert len(again) == 4


# Which models


def model(name: str, status: Status = Status.LIVE, **more: Any) -> Model:
    capabilities = capabilities_of(name) if not more else Capabilities(**more)
    return Model(name, "metis", "api", "http://a", status, capabilities=capabilities)


def test_a_model_that_sees_nothing_is_refused_with_live_ones_that_do() -> None:
    """Named as they are to be typed."""
    models = (
        model("gpt-oss-120b"),
        model("Llama-4-Maverick-17B-128E-Instruct"),
        model("gemma-3-27b-it", Status.OFFLINE),
    )
    with pytest.raises(RequestRefused) as caught:
        check_vision(models[0], Catalog(models))
    assert str(caught.value) == (
        "gpt-oss-120b on metis takes no images. Nothing was sent. Live ones that do: "
        "-m metis:Llama-4-Maverick-17B-128E-Instruct"
    )
    with pytest.raises(RequestRefused, match="No model that does is live just now"):
        check_vision(models[0], Catalog(models[::2]))


def test_a_model_that_nobody_knows_is_asked() -> None:
    """Its server will say; what a cluster says goes before what is known of a family."""
    check_vision(model("newest"), Catalog((model("newest"),)))
    seeing = model("gpt-oss-120b", vision=True, vision_known=True)
    check_vision(model("gpt-oss-120b"), Catalog((seeing,)))
    blind = model("newest", vision=False, vision_known=True)
    with pytest.raises(RequestRefused, match="takes no images"):
        check_vision(model("newest"), Catalog((blind,)))


def test_without_a_name_a_model_that_sees_is_taken() -> None:
    """If one is live; the order of families counts among those."""
    models = (model("gpt-oss-120b"), model("gemma-3-27b-it"), model("llama-4-scout"))
    catalog = Catalog(models, ("metis",))
    assert catalog.resolve().name == "gpt-oss-120b"
    assert catalog.resolve(vision=True).name == "llama-4-scout"
    assert Catalog(models[:1]).resolve(vision=True).name == "gpt-oss-120b"
    assert catalog.resolve("gpt-oss-120b", vision=True).name == "gpt-oss-120b"


def test_the_limit_is_the_gateways() -> None:
    """2.5 MiB, as it was measured."""
    assert body_size.BODY_LIMIT == 2.5 * 2**20
