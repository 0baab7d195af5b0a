"""What a person gives as an image becomes a file that any model server reads."""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path
from typing import Any

import pytest
from IPython.core.display import Image as Displayed
from PIL import Image

from alcf_magics.errors import RequestRefused
from alcf_magics.images import loading
from alcf_magics.images.loading import gathered, snapshots
from alcf_magics.images.picture import Picture
from support.images import decoded, encoded, figure, file, noise


def no_fetch(address: str) -> bytes:
    raise AssertionError(address)


def load(value: Any) -> Picture:
    (picture,) = gathered(value, no_fetch)
    return picture


# Files


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_file_that_any_server_reads_is_sent_byte_for_byte(
    tmp_path: Path, format: str, mode: str
) -> None:
    """Its size is told by its first bytes, and nothing is said of it."""
    path = tmp_path / "named.wrongly"
    path.write_bytes(file(format, mode=mode, color=3))
    picture = load(path)
    assert picture.data == path.read_bytes()
    assert (picture.header.format, picture.size, picture.changes) == (format, (64, 48), [])


@pytest.mark.parametrize("format", ["GIF", "WEBP", "TIFF", "BMP"])
def test_other_formats_become_png(tmp_path: Path, format: str) -> None:
    """Not every server reads them."""
    path = tmp_path / "image"
    path.write_bytes(file(format))
    picture = load(str(path))
    assert (picture.header.format, picture.size) == ("PNG", (64, 48))
    assert decoded(picture.data).getpixel((1, 1)) == pytest.approx((0, 128, 128), abs=2)


def test_an_animation_is_its_first_frame() -> None:
    """And that is said."""
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    picture = load(data)
    assert decoded(picture.data).getpixel((0, 0)) == (255, 0, 0)
    assert picture.changes == ["its first frame"]


def test_a_photo_stands_upright() -> None:
    """The camera's note of how it was held is followed, and its size is that of the upright one."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    image = Image.new("RGB", (60, 30), "black")
    image.paste("white", (0, 0, 30, 30))
    picture = load(encoded(image, "JPEG", exif=exif))
    upright = decoded(picture.data)
    assert (picture.header.format, picture.size, picture.changes) == ("JPEG", (30, 60), [])
    assert upright.getpixel((15, 5)) == pytest.approx((255, 255, 255), abs=5)
    assert upright.getpixel((15, 55)) == pytest.approx((0, 0, 0), abs=5)
    large = load(encoded(image.resize((6000, 3000)), "JPEG", exif=exif))
    assert (large.size, large.full) == ((1024, 2048), (3000, 6000))


def test_print_colours_become_screen_colours() -> None:
    """A JPEG in CMYK."""
    picture = load(file("JPEG", mode="CMYK", color=(0, 255, 255, 0)))
    image = decoded(picture.data)
    assert image.mode == "RGB"
    assert image.getpixel((1, 1)) == pytest.approx((255, 0, 0), abs=5)


@pytest.mark.parametrize("side", ["width", "height"])
def test_what_is_too_large_is_scaled_and_said(side: str) -> None:
    """The longer side has 2,048 pixels then, whichever it is."""
    size = (4096, 100) if side == "width" else (100, 4096)
    picture = load(file(size=size))
    assert max(picture.size) == 2048
    assert min(picture.size) == 50
    assert picture.changes == [f"scaled from {size[0]}×{size[1]}"]


def test_sixteen_bits_are_stretched_to_eight() -> None:
    """A detector's numbers are seen, and the line says which are black and white."""
    image = Image.frombytes("I;16", (2, 1), (1000).to_bytes(2, "little") + b"\xa0\x0f")
    picture = load(encoded(image))
    assert [decoded(picture.data).getpixel((x, 0)) for x in (0, 1)] == [0, 255]
    assert picture.changes == ["black is 1000, white 4000"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<?xml version='1.0'?>\n<svg xmlns='x'/>", "is SVG, which models do not take"),
        (b"%PDF-1.7", "is PDF"),
        (b"<!DOCTYPE html><html>login", "is a web page, no image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "is HEIC, which models do not take"),
        (b"\0\0\0\x20ftypavif\0\0\0\0", "is AVIF, which models do not take"),
        (b"", "is no image that can be read"),
        (b"hello", "is no image that can be read"),
        (file()[:60], "cannot be read as an image"),
        (file("JPEG", (640, 480))[:500], "cannot be read as an image|is no image"),
        (b"\x89PNG\r\n\x1a\n", "is no image that can be read"),
    ],
)
def test_what_is_no_image_is_one_line(tmp_path: Path, data: bytes, said: str) -> None:
    """Whatever its name says."""
    path = tmp_path / "plot.png"
    path.write_bytes(data)
    with pytest.raises(RequestRefused, match=said) as caught:
        load(path)
    assert "Nothing was sent." in str(caught.value)


def test_a_small_file_with_very_many_pixels_is_refused() -> None:
    """Decoding it would take the memory of the kernel."""
    data = encoded(Image.new("1", (20_000, 20_000)))
    assert len(data) < 100_000
    with pytest.raises(RequestRefused, match=r"20000×20000 pixels; at most 100,000,000"):
        load(data)


def test_files_that_are_none_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, a folder, too large, an address of another kind."""
    monkeypatch.setattr(loading, "MOST_BYTES", 10)
    large = tmp_path / "large.png"
    large.write_bytes(file())
    for value, said in (
        (tmp_path / "none.png", "There is no file .*none.png"),
        (tmp_path, "is not a file"),
        (large, "has more than 0 MB"),
        ("ftp://example.org/a.png", "is no http.s. address"),
        ("file:///etc/passwd", "is no http.s. address"),
        ("data:image/png;base64,AAAA", "is no image"),
        ("data:image/png,AAAA", "not in base64"),
    ):
        with pytest.raises(RequestRefused, match=said):
            load(value)


def test_data_in_an_address_is_read() -> None:
    """As a web page carries an image."""
    data = file()
    assert load(f"data:image/png;base64,{base64.b64encode(data).decode()}").data == data


# Without Pillow


def test_small_files_go_without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are; for others a line says what to install."""
    small, large, gif = file(), file(size=(3000, 10)), file("GIF")
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert load(small).data == small
    assert load(gif).data == gif
    with pytest.raises(RequestRefused, match=r"3000×10 PNG.*pip install 'alcf-magics\[images\]'"):
        load(large)
    numpy = pytest.importorskip("numpy")
    with pytest.raises(RequestRefused, match=r"needs Pillow.*alcf-magics\[images\]"):
        load(numpy.zeros((3, 4)))


# Values


def test_a_figure_is_what_the_notebook_shows() -> None:
    """At its own resolution, on an opaque ground, as its axes are."""
    drawn = figure((4, 3), dpi=100)
    picture = load(drawn)
    assert picture.header.format == "PNG"
    assert picture.size == pytest.approx((400, 300), rel=0.15)
    assert decoded(picture.data).mode == "RGB"
    assert load(drawn.axes[0]).size == picture.size
    assert picture.changes == []


def test_a_fine_figure_is_drawn_coarser() -> None:
    """No finer than 2,048 pixels a side, and that is said; the figure itself stays as it was."""
    drawn = figure((10, 6), dpi=600)
    picture = load(drawn)
    assert 1500 < picture.size[0] <= 2048
    assert "scaled from " in picture.about
    assert (drawn.dpi, tuple(drawn.get_size_inches())) == (600, (10, 6))


def test_a_figure_that_cannot_be_drawn_is_said() -> None:
    """With what matplotlib says."""
    drawn = figure()
    drawn.suptitle("$\\nosuchcommand$")
    with pytest.raises(RequestRefused, match=r"the image cannot be read as an image \(ValueError"):
        load(drawn)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "LA", "RGBA", "I", "F"])
def test_every_mode_of_pillow_is_sent(mode: str) -> None:
    """As a PNG in grey or colour."""
    image = Image.new("RGB", (6, 4), "white").convert("L" if mode in "IF" else mode).convert(mode)
    drawn = decoded(load(image).data)
    assert drawn.mode in ("L", "RGB")
    assert drawn.getextrema() in ((255, 255), ((255, 255),) * 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(mode: str) -> None:
    """As on paper: a server would make it black."""
    image = Image.new("RGBA", (6, 4), (0, 0, 0, 0)).convert("RGBA" if mode == "P" else mode)
    if mode == "P":
        image = decoded(encoded(image.quantize(), "GIF", transparency=0))
    assert decoded(load(image).data).convert("RGB").getpixel((1, 1)) == (255, 255, 255)


def test_numbers_that_are_none_in_an_image_of_floats_are_refused() -> None:
    """Pillow has no sign for what is missing."""
    image = Image.new("F", (2, 2), float("nan"))
    with pytest.raises(RequestRefused, match="numbers that are none"):
        load(image)


def test_what_shows_itself_as_an_image_is_one() -> None:
    """IPython's own, say."""
    data = file()
    displayed: Any = Displayed
    assert load(displayed(data=data, format="png")).data == data


@pytest.mark.parametrize("value", [3, {"a": 1}, object(), None, print])
def test_other_values_are_refused_by_their_kind(value: Any) -> None:
    """With what an image may be."""
    with pytest.raises(RequestRefused, match=r"is no image\. Nothing was sent\. An image is"):
        gathered([value], no_fetch)


def test_figures_are_drawn_where_they_were_made() -> None:
    """A snapshot has the values as they are now; what is only named waits."""
    drawn = figure()
    first, second = snapshots([drawn, "plot.png"])
    assert isinstance(first, Picture)
    assert second == "plot.png"
    assert gathered([first], no_fetch) == [first]


# Several together


def test_images_that_are_large_together_become_jpeg() -> None:
    """Each that is smaller so; a small one stays what it was."""
    image = noise((500, 500)).resize((1200, 1200))
    small = Image.new("RGB", (30, 30), "red")
    assert len(encoded(image)) > 1_400_000
    first, second = gathered([image, small], no_fetch)
    assert (first.header.format, first.size) == ("JPEG", (1200, 1200))
    assert (second.header.format, second.size) == ("PNG", (30, 30))
    assert second.changes == []


def test_images_that_stay_large_are_scaled_until_they_fit() -> None:
    """Together under 1.4 MB, and said."""
    pictures = gathered([noise((1500, 1500))] * 4, no_fetch)
    assert sum(len(picture.data) for picture in pictures) <= 1_400_000
    assert all("scaled from 1500×1500" in picture.about for picture in pictures)
    assert all(max(picture.size) >= 256 for picture in pictures)


def test_nobody_else_is_imported_for_a_value() -> None:
    """Whoever has no numpy and no matplotlib is not brought any."""
    import subprocess

    code = (
        "import sys, alcf_magics.notebook.composing, alcf_magics.images.loading as l\n"
        "try: l.gathered([3], None)\n"
        "except Exception as error: assert 'is no image' in str(error)\n"
        "print(sorted({'PIL', 'numpy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_file_of_a_stream_is_read_as_bytes() -> None:
    """A bytearray and a view are bytes, too."""
    data = file()
    assert load(bytearray(data)).data == load(io.BytesIO(data).getbuffer()).data == data
