"""Tables of the result objects: one description, rendered as aligned text and as HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Column", "Table", "Tables", "bytes_text", "chain_text", "count_text", "number_text"]
__all__ += ["threads_text"]

# Missing values show as a dash in every table.
MISSING = "–"
# Characters of a step's name, above which its inner operators are left out.
_LONG = 66


@dataclass(frozen=True)
class Column:
    """A column's heading and the side on which its cells are aligned."""

    title: str
    align: Literal["left", "right"] = "right"


@dataclass(frozen=True)
class Table:
    """A titled table of text cells; ``notes`` are lines printed below it."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default=())

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table {self.title!r}: a row has {len(row)} cells; "
                    f"expected {len(self.columns)}: {list(row)}"
                )

    def to_text(self) -> str:
        """Columns padded to their widest cell, two blanks between them; no trailing blanks."""
        titles = [column.title for column in self.columns]
        lines = [titles, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(titles))]
        rule = ["-" * width for width in widths]
        body = [self._text_line(line, widths) for line in (titles, rule, *self.rows)]
        return "\n".join([*([self.title] if self.title else []), *body, *self.notes])

    def _text_line(self, cells: Sequence[str], widths: Sequence[int]) -> str:
        padded = (
            cell.ljust(width) if column.align == "left" else cell.rjust(width)
            for cell, width, column in zip(cells, widths, self.columns, strict=True)
        )
        return "  ".join(padded).rstrip()

    def to_html(self) -> str:
        """A ``<table>`` that sets no colours, so that it reads on light and dark pages alike."""
        parts = ["<table>"]
        if self.title:
            title = html.escape(self.title)
            parts.append(f'<caption style="text-align:left"><b>{title}</b></caption>')
        titles = [column.title for column in self.columns]
        parts.append(f"<thead>{self._html_line('th', titles)}</thead><tbody>")
        parts.extend(self._html_line("td", row) for row in self.rows)
        parts.append("</tbody></table>")
        parts.extend(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return "".join(parts)

    def _html_line(self, tag: str, cells: Sequence[str]) -> str:
        line = "".join(
            f'<{tag} style="text-align:{column.align}">{html.escape(cell)}</{tag}>'
            for cell, column in zip(cells, self.columns, strict=True)
        )
        return f"<tr>{line}</tr>"


class Tables:
    """What prints as several tables; a dataclass that is one needs ``repr=False``."""

    def tables(self) -> list[Table]:
        """From the first to the last."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return "\n\n".join(table.to_text() for table in self.tables())

    def _repr_html_(self) -> str:
        return "".join(table.to_html() for table in self.tables())


def number_text(value: float | None, digits: int = 3) -> str:
    """A fixed-point number with ``digits`` decimals, or a dash for None."""
    return MISSING if value is None else f"{value:.{digits}f}"


def count_text(value: float | None) -> str:
    """A count with an SI prefix: 4817320 -> '4.817 M'."""
    return _scaled(value, 1000.0, ("", "k", "M", "G", "T"), "")


def bytes_text(value: float | None) -> str:
    """A size with a binary prefix: 2097152 -> '2 MiB'."""
    return _scaled(value, 1024.0, ("", "Ki", "Mi", "Gi", "Ti"), "B")


def threads_text(count: int) -> str:
    """'1 thread', '2 threads'."""
    return f"{count} thread" if count == 1 else f"{count} threads"


def chain_text(chain: str) -> str:
    """A long step of several operators by its first and last: 'a > b > c' -> 'a > … > c'."""
    parts = chain.split(" > ")
    return chain if len(chain) <= _LONG or len(parts) <= 2 else f"{parts[0]} > … > {parts[-1]}"


def _scaled(value: float | None, base: float, prefixes: Sequence[str], unit: str) -> str:
    if value is None:
        return MISSING
    index = 0
    # 999.95 and above would be printed as 1000, so it takes the next prefix.
    while abs(value) >= base * 0.9995 and index < len(prefixes) - 1:
        value /= base
        index += 1
    return f"{value:.4g} {prefixes[index]}{unit}".rstrip()
