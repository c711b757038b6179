"""What was found in a picture, drawn over its pixels with Pillow."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from mobileone.data.pixels import Pixels
from mobileone.data.preprocessing import pillow

__all__ = ["draw_boxes", "draw_label_map", "png"]

Colour = tuple[int, int, int]


def draw_boxes(
    pixels: Pixels, boxes: Any, texts: Sequence[str], colours: Sequence[Colour]
) -> Pixels:
    """A copy of RGB pixels [H, W, 3] with a frame and a text for each box.

    Args:
        pixels: of the picture.
        boxes: (left, top, right, bottom) in pixels.
        texts: one for each box.
        colours: one for each box.
    """
    pillow("drawing")
    from PIL import Image, ImageDraw

    image = Image.fromarray(np.ascontiguousarray(pixels))
    draw = ImageDraw.Draw(image)
    width = max(1, round(max(image.size) / 300))
    for box, text, colour in zip(boxes, texts, colours, strict=True):
        left, top, right, bottom = (float(side) for side in box)
        frame = (min(left, right), min(top, bottom), max(left, right), max(top, bottom))
        draw.rectangle(frame, outline=colour, width=width)
        place = draw.textbbox((frame[0] + width, frame[1] + width), text)
        draw.rectangle(place, fill=colour)
        ink = (0, 0, 0) if sum(colour) > 3 * 128 else (255, 255, 255)
        draw.text(place[:2], text, fill=ink)
    return np.asarray(image)


def draw_label_map(
    pixels: Pixels, labels: Any, palette: Sequence[Colour], opacity: float
) -> Pixels:
    """RGB pixels [H, W, 3] with the colour of each pixel's class over them; class 0 of a palette
    that is black there leaves the picture as it is.
    """
    table = np.asarray(palette, np.float32)
    share = np.where(table.any(1), opacity, 0.0).astype(np.float32)[labels][..., None]
    mixed: Pixels = np.rint((1.0 - share) * pixels + share * table[labels]).astype(np.uint8)
    return mixed


def png(pixels: Pixels) -> bytes:
    """The pixels as a PNG file."""
    file = io.BytesIO()
    pillow("drawing").fromarray(np.ascontiguousarray(pixels)).save(file, "PNG")
    return file.getvalue()
