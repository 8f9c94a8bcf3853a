"""A figure that a notebook shows, whatever its backend; imported where something is drawn, for matplotlib is slow."""

import io

from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["ShownFigure", "axes_of", "whole_figure"]


class ShownFigure(Figure):
    """A figure without pyplot's state that displays as the last line of a notebook's cell."""

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png")
        return picture.getvalue()


def axes_of(ax: Axes | None, width: float, height: float) -> Axes:
    """
    Give the axes to draw on.

    Parameters
    ----------
    ax : Axes, optional
        Those that a caller gave.
    width, height : float
        Size of a figure of their own, in inches, if there are none.

    Returns
    -------
    Axes
        The ones given, or new ones.
    """
    if ax is not None:
        return ax
    return ShownFigure(figsize=(width, height), layout="constrained", dpi=110, facecolor="white").subplots()


def whole_figure(ax: Axes) -> Figure:
    """
    Give the figure that axes belong to, not a subfigure of it.

    Parameters
    ----------
    ax : Axes
        Some axes.

    Returns
    -------
    Figure
        The whole.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure
