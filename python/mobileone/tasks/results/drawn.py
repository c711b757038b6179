"""What was found in a picture, as it is shown: drawn over the picture, and as a table."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from mobileone.data.overlay import png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mobileone.data.pixels import Pixels
    from mobileone.util.tables import Table

__all__ = ["DrawnResult"]


class DrawnResult:
    """Prints as its table, in notebooks below the picture; its dataclasses need ``repr=False``."""

    def drawn(self) -> Pixels:
        """The picture with what was found, uint8 RGB [H, W, 3]."""
        raise NotImplementedError

    @property
    def table(self) -> Table:
        """What was found."""
        raise NotImplementedError

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw it; needs matplotlib. Returns the axes."""
        from mobileone.figures.pictures import plot_picture

        return plot_picture(self.drawn(), "", ax)

    def __repr__(self) -> str:
        return self.table.to_text()

    def _repr_html_(self) -> str:
        data = base64.b64encode(png(self.drawn())).decode()
        picture = f'<img src="data:image/png;base64,{data}" style="max-width:100%">'
        return picture + self.table.to_html()
