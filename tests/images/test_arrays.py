"""Arrays as images: shapes, kinds of numbers, and numbers that are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from alcf_magics.errors import RequestRefused
from alcf_magics.images.arrays import from_array
from support.images import decoded


def seen(array: Any) -> tuple[Any, list[str]]:
    """The array as a model sees it, and what is said of it."""
    picture = from_array("a", array)
    assert picture.header.format == "PNG"
    return np.asarray(decoded(picture.data)), picture.changes


def test_bytes_are_sent_as_they_are() -> None:
    """Grey and colour, a height of 2 and a width of 3."""
    grey = np.arange(6, dtype="uint8").reshape(2, 3)
    assert (seen(grey)[0] == grey).all()
    colour = np.arange(18, dtype="uint8").reshape(2, 3, 3)
    assert (seen(colour)[0] == colour).all()


def test_one_channel_is_grey() -> None:
    """H×W×1."""
    grey = np.arange(6, dtype="uint8").reshape(2, 3, 1)
    assert (seen(grey)[0] == grey[:, :, 0]).all()


def test_the_fourth_channel_is_how_opaque_a_pixel_is() -> None:
    """What is transparent is white."""
    layered = np.zeros((2, 2, 4), "uint8")
    layered[0, 0] = 10, 20, 30, 255
    pixels, _ = seen(layered)
    assert pixels[0, 0].tolist() == [10, 20, 30]
    assert pixels[1, 1].tolist() == [255, 255, 255]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_up_to_one_are_shares_of_white(dtype: str) -> None:
    """In grey and in colour, without a word."""
    grey = np.array([[0, 0.2], [0.6, 1]], dtype)
    assert seen(grey)[0].tolist() == [[0, 51], [153, 255]]
    colour = np.full((1, 2, 3), 0.2, dtype)
    assert seen(colour) == (pytest.approx(np.full((1, 2, 3), 51)), [])


def test_truths_are_black_and_white() -> None:
    """A mask."""
    assert seen(np.array([[True, False]]))[0].tolist() == [[255, 0]]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([[-2.0, 0.0, 2.0]], "black is -2, white 2"),
        ([[1000, 1500, 2000]], "black is 1000, white 2000"),
        ([[1e-9, 2e-9, 3e-9]], "black is 1e-09, white 3e-09"),
        ([[-1, 0, 1]], "black is -1, white 1"),
    ],
)
def test_other_numbers_in_grey_are_stretched(values: Any, said: str) -> None:
    """From the least to the greatest, which is said."""
    pixels, changes = seen(np.array(values))
    assert pixels.tolist()[0][::2] == [0, 255]
    assert 126 <= pixels[0, 1] <= 129
    assert changes == [said]


def test_a_constant_is_one_grey() -> None:
    """Nothing is divided by nothing."""
    assert seen(np.full((2, 2), 7.5))[0].tolist() == [[0, 0], [0, 0]]
    assert seen(np.zeros((2, 2)))[0].tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("nothing", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_black_and_counted(nothing: float) -> None:
    """The rest is as if it were not there."""
    pixels, changes = seen(np.array([[nothing, 0.2], [0.6, 1.0]]))
    assert pixels.tolist() == [[0, 51], [153, 255]]
    assert changes == ["1 of 4 numbers missing (black)"]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.full((2, 2), np.nan), "a holds no numbers"),
        (np.zeros(5), "an array of 5; an image is H×W"),
        (np.zeros((3, 8, 9)), "an array of 3×8×9"),
        (np.zeros((0, 8)), "an array of 0×8"),
        (np.array(1.0), "an array of no size"),
        (np.zeros((2, 2), complex), "an array of complex128, which is no image"),
        (np.array([["a", "b"]]), "which is no image"),
        (np.array([[object()]]), "an array of object"),
        (np.full((2, 2, 3), 200.0), r"colours from 200 to 200; float64 goes from 0 to 1.*uint8"),
        (np.full((2, 2, 3), -5), r"colours from -5 to -5; int64 goes from 0 to 255"),
    ],
)
def test_what_is_no_image_is_refused_with_its_shape_or_kind(array: Any, said: str) -> None:
    """Nothing is guessed where it would change colours."""
    with pytest.raises(RequestRefused, match=said):
        from_array("a", array)


def test_colours_just_beyond_their_range_are_cut() -> None:
    """By rounding they come there."""
    pixels, changes = seen(np.array([[[1.0005, 0.5, -0.0005]]]))
    assert (pixels.tolist(), changes) == ([[[255, 128, 0]]], [])


def test_a_large_array_is_thinned_before_it_is_copied() -> None:
    """Only what can be seen is made of bytes; the said size is the array's own."""
    vast = np.broadcast_to(np.uint8(7), (60_000, 50_000))
    picture = from_array("a", vast)
    assert picture.changes == ["scaled from 50000×60000"]
    assert max(picture.size) == 2048


def test_a_picture_does_not_change_the_array() -> None:
    """Not even where numbers are missing."""
    array = np.array([[np.nan, 2.0]])
    from_array("a", array)
    assert np.isnan(array[0, 0])


def test_an_array_of_another_library_is_read_through_numpy() -> None:
    """One that converts itself, such as a table's column block."""
    frame = pd.DataFrame([[0.0, 1.0], [1.0, 0.0]])

    class Alike:
        shape, dtype = (2, 2), "float64"

        def __getitem__(self, key: Any) -> Any:
            return frame.to_numpy()[key]

    assert seen(Alike())[0].tolist() == [[0, 255], [255, 0]]
