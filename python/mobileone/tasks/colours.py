"""A colour for every class: Pascal VOC's, which tells any number of them apart."""

from __future__ import annotations

__all__ = ["class_colour", "palette"]


def class_colour(label: int) -> tuple[int, int, int]:
    """Red, green and blue of a class: its number's bits, three at a time, from the highest bit of
    each colour down (VOC's development kit). Class 0 is black.
    """
    colour = [0, 0, 0]
    for bit in range(7, -1, -1):
        for channel in range(3):
            colour[channel] |= (label >> channel & 1) << bit
        label >>= 3
    return colour[0], colour[1], colour[2]


def palette(classes: int) -> list[tuple[int, int, int]]:
    """Of so many classes."""
    return [class_colour(label) for label in range(classes)]
