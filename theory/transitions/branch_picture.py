"""How a branch looks: its loss along the parameter, and what a notebook shows."""

from typing import TYPE_CHECKING

from theory.tools.html import facts, image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from theory.transitions.branches import Branch

__all__ = ["branch_html", "draw_branch"]


def draw_branch(branch: "Branch", ax: "Axes | None" = None) -> "Figure":
    """
    Draw the loss along a branch.

    Parameters
    ----------
    branch : Branch
        The branch.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    matplotlib.figure.Figure
        The picture; a notebook shows it.
    """
    from theory.tools.shown_figure import axes_of, whole_figure

    ax = axes_of(ax, 4.2, 2.8)
    ax.plot(branch.values, branch.loss, lw=1.8, label=branch.geometry)
    ax.set(xscale="log", yscale="log", xlabel=branch.path.parameter, ylabel="population loss")
    ax.legend(frameon=False, fontsize=9)
    return whole_figure(ax)


def branch_html(branch: "Branch") -> str:
    """
    Show a branch in a notebook.

    Parameters
    ----------
    branch : Branch
        The branch.

    Returns
    -------
    str
        HTML.
    """
    known = {
        "geometry": branch.geometry,
        branch.path.parameter: f"{branch.lowest:.6g} … {branch.highest:.6g}",
        "ends": f"{branch.why(branch.lowest)}, {branch.why(branch.highest)}",
        "loss": f"{branch.loss.min():.6g} … {branch.loss.max():.6g}",
    }
    return facts(known) + image(draw_branch(branch), f"loss along the branch of {branch.geometry}", 420)
