"""Images at the sandbox: what it says of them, and what its models refuse."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from alcf_magics.sandbox import Sandbox
from support.images import file
from support.logins import logged_in

SEEING = ("metis/api", "Llama-4-Maverick-17B-128E-Instruct")
BLIND_DIRECT = ("metis/api", "gpt-oss-120b")
BLIND = ("sophia/vllm", "openai/gpt-oss-120b")


def url_of(data: bytes, mime: str) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def ask(sandbox: Sandbox, place: tuple[str, str], *urls: str, **more: Any) -> httpx.Response:
    parts: list[Any] = [{"type": "text", "text": "see"}]
    parts += [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    body = {"model": place[1], "messages": [{"role": "user", "content": parts}], **more}
    return httpx.post(
        f"{sandbox.gateway_url}/{place[0]}/v1/chat/completions",
        json=body,
        auth=logged_in(sandbox).auth,
        timeout=10,
    )


def test_a_model_says_which_images_arrived(sandbox: Sandbox) -> None:
    """How many, and of each the size, the type and the bytes, in order; they count as tokens."""
    png, jpeg = file(size=(640, 480)), file("JPEG", (30, 20))
    answer = ask(sandbox, SEEING, url_of(png, "image/png"), url_of(jpeg, "image/jpeg")).json()
    text = answer["choices"][0]["message"]["content"]
    assert "2 images arrived:" in text
    assert f"1. 640×480 image/png ({len(png):,} bytes)" in text
    assert f"2. 30×20 image/jpeg ({len(jpeg):,} bytes)" in text
    assert answer["usage"]["prompt_tokens"] > 640 * 480 // 1000
    assert "arrived" not in ask(sandbox, SEEING).text


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP"])
def test_every_usual_format_is_read(sandbox: Sandbox, format: str) -> None:
    """As a decoder reads it."""
    data = file(format, (70, 50))
    answer = ask(sandbox, SEEING, url_of(data, "image/x")).json()
    assert "1. 70×50 image/x" in answer["choices"][0]["message"]["content"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_without_vision_refuses_as_a_real_one(sandbox: Sandbox, stream: bool) -> None:
    """In the words of vLLM, in the envelope of its cluster."""
    url = url_of(file(), "image/png")
    direct = ask(sandbox, BLIND_DIRECT, url, stream=stream)
    compute = ask(sandbox, BLIND, url, stream=stream)
    for answer in (direct, compute):
        assert "is not a multimodal model" in answer.text
    assert (direct.status_code, compute.status_code) == ((200, 200) if stream else (400, 500))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://example.org/a.png", "base64 data URLs only"),
        ("data:image/png;base64,%%%", "Invalid base64-encoded image"),
        (url_of(b"hello", "image/png"), "cannot identify image file"),
        (url_of(file()[:20], "image/png"), "cannot identify image file"),
    ],
)
def test_what_is_no_image_is_refused(sandbox: Sandbox, url: str, said: str) -> None:
    """Nothing is fetched, and nothing is guessed."""
    answer = ask(sandbox, SEEING, url)
    assert answer.status_code == 400
    assert said in answer.text


def test_the_models_say_who_sees(sandbox: Sandbox) -> None:
    """Where a cluster says it at all."""
    answer = httpx.get(f"{sandbox.gateway_url}/sophia/models", auth=logged_in(sandbox).auth).json()
    said = {model["id"]: model.get("capabilities") for model in answer}
    assert "vision" in said["google/gemma-4-31B-it"]
    assert "vision" not in said["openai/gpt-oss-120b"]
