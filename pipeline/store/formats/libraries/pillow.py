"""Images of Pillow: mode, size, palette, plain information, and exact pixels."""

from __future__ import annotations

from types import NoneType
from typing import Any

import numpy as np

from pipeline.store.entry import CodecError, UnstorableError, noun
from pipeline.store.formats.libraries import LibraryFormat, parts_of


def _dump(image: Any) -> Any:
    from PIL import Image

    if extra := vars(image).keys() - vars(Image.new("1", (1, 1))).keys():
        raise UnstorableError(noun(image), f"no format for its attributes {', '.join(extra)}")
    palette = image.palette and _palette(image)
    return image.mode, list(image.size), image.tobytes(), palette, dict(image.info)


def _palette(image: Any) -> Any:
    mode = image.palette.mode
    return mode, bytes(image.getpalette(mode))


def _load(tree: Any) -> Any:
    from PIL import Image

    mode, size, pixels, palette, info = parts_of(
        tree, str, list, bytes, (tuple, NoneType), dict
    )  # fmt: skip
    width, height = parts_of(tuple(size), int, int)
    if min(width, height) < 0 or _length(mode, width) * height != len(pixels):
        raise CodecError(f"an image {width} x {height} of {mode} in {len(pixels)} bytes")
    image = Image.new(mode, (width, height))
    if pixels:
        image.frombytes(pixels)
    if palette is not None:
        mode, colours = parts_of(palette, str, bytes)
        image.putpalette(colours, mode)
    image.info = info
    return image


def _length(mode: str, width: int) -> int:
    """The bytes of a row."""
    from PIL import ImageMode

    if mode == "1":
        return (width + 7) // 8
    form = ImageMode.getmode(mode)
    return int(width * len(form.bands) * np.dtype(form.typestr).itemsize)


FORMATS = {
    "PIL.Image.Image": LibraryFormat(_dump, _load, remedy="return image.copy(), a plain image"),
}
