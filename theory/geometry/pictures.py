"""Small pictures of embeddings: arrows in the plane, or the matrix; alone, in reports, and in notebooks."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.geometry.metrics import as_embedding

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_couplings", "draw_embedding", "solution_html"]

# Up to so many features each has a label of its own.
FEW = 24
_TICKS = 12
# A picture of its own, in inches.
_SIZE = (4.0, 3.6)
_BLUE = "#0072B2"


def draw_embedding(W: ArrayLike, ax: "Axes | None" = None) -> "Figure":
    """
    Draw an embedding: its columns as arrows in two dimensions, its matrix in others.

    Parameters
    ----------
    W : array_like or torch.Tensor, shape (m, n)
        Column i is feature i's direction.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    matplotlib.figure.Figure
        The picture; a notebook shows it.

    Raises
    ------
    ValueError
        If W is no single matrix of finite numbers.

    Examples
    --------
    >>> figure = draw_embedding([[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    >>> figure.axes[0].get_xlabel()
    'hidden dimension 0'
    """
    from theory.tools.shown_figure import axes_of, whole_figure

    V = _single(W)
    axes = axes_of(ax, *_SIZE)
    if len(V) == 2:
        _draw_arrows(axes, V)
    else:
        _draw_matrix(axes, V)
    return whole_figure(axes)


def draw_couplings(W: ArrayLike, ax: "Axes | None" = None, W_out: ArrayLike | None = None) -> "Figure":
    """
    Draw the couplings W^T W: squared norms on the diagonal, interference beside it.

    Parameters
    ----------
    W : array_like or torch.Tensor, shape (m, n)
        Column i is feature i's direction.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a figure of its own by default.
    W_out : array_like or torch.Tensor, shape (n, m), optional
        Decoder of its own, whose couplings W_out W are drawn instead.

    Returns
    -------
    matplotlib.figure.Figure
        The picture; a notebook shows it.

    Raises
    ------
    ValueError
        If W is no single matrix of finite numbers.

    Examples
    --------
    >>> draw_couplings([[1.0, -1.0]]).axes[0].get_ylabel()
    'output $i$'
    """
    from theory.tools.shown_figure import axes_of, whole_figure

    V = _single(W)
    axes = axes_of(ax, *_SIZE)
    G = (V.T if W_out is None else _single(W_out)) @ V
    bound = max(1.0, float(np.abs(G).max()))
    image = axes.imshow(G, cmap="RdBu_r", vmin=-bound, vmax=bound, interpolation="nearest")
    axes.figure.colorbar(image, ax=axes, shrink=0.85)
    axes.set_title("couplings  $W^T W$" if W_out is None else "couplings  $W_{out} W$", fontsize=10, loc="left")
    axes.set_xlabel("feature $j$")
    axes.set_ylabel("output $i$")
    if len(G) <= _TICKS:
        axes.set_xticks(range(len(G)))
        axes.set_yticks(range(len(G)))
    return whole_figure(axes)


def solution_html(W: Float[ndarray, "m n"], named: Mapping[str, object]) -> str:
    """
    Show a solution in a notebook: what is known of it, and a small picture of W and W^T W.

    Parameters
    ----------
    W : ndarray, shape (m, n)
        Embedding.
    named : mapping of str to object
        What is known, by name.

    Returns
    -------
    str
        HTML.
    """
    from theory.tools.html import facts, image
    from theory.tools.shown_figure import ShownFigure

    figure = ShownFigure(figsize=(5.6, 2.5), layout="constrained", dpi=110, facecolor="white")
    left, right = figure.subplots(1, 2)
    draw_embedding(W, left)
    draw_couplings(W, right)
    picture = image(figure, "the embedding W and its couplings", 500)
    return f'<div style="display: flex; flex-wrap: wrap; gap: 1rem; align-items: center">{facts(named)}{picture}</div>'


def _single(W: ArrayLike) -> Float[ndarray, "m n"]:
    V = as_embedding(W)
    if V.ndim != 2:
        raise ValueError(f"one embedding of shape (m, n) is drawn, got shape {V.shape}; choose one of the batch")
    return V


def _draw_matrix(axes: "Axes", W: Float[ndarray, "m n"]) -> None:
    bound = max(float(np.abs(W).max()), 1e-9)
    axes.imshow(W, cmap="RdBu_r", vmin=-bound, vmax=bound, aspect="auto", interpolation="nearest")
    axes.set_xlabel("feature")
    axes.set_ylabel("hidden dimension")
    if len(W) <= FEW:
        axes.set_yticks(range(len(W)))
    if W.shape[1] <= _TICKS:
        axes.set_xticks(range(W.shape[1]))


def _draw_arrows(axes: "Axes", W: Float[ndarray, "2 n"]) -> None:
    n = W.shape[1]
    for i in range(n):
        axes.annotate("", (W[0, i], W[1, i]), (0, 0), arrowprops={"arrowstyle": "-|>", "color": _BLUE, "lw": 1.4})
        if n <= FEW and np.hypot(*W[:, i]) > 0.1:
            x, y = W[:, i] * (1 + 0.16 / max(float(np.hypot(*W[:, i])), 0.3))
            axes.annotate(str(i), (x, y), ha="center", va="center", fontsize=8)
    reach = 1.25 * max(1.0, float(np.linalg.norm(W, axis=0).max()))
    angle = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(angle), np.sin(angle), color="0.85", lw=0.8, zorder=0)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="hidden dimension 0",
             ylabel="hidden dimension 1")  # fmt: skip
