"""A figure that a notebook shows, whatever its backend; imported where something is drawn, for matplotlib is slow."""

import io

from matplotlib.figure import Figure

__all__ = ["ShownFigure"]


class ShownFigure(Figure):
    """A figure without pyplot's state that displays as the last line of a notebook's cell."""

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png")
        return picture.getvalue()
