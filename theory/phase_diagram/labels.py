"""Names, sketches and densities in the panels of a phase diagram, placed where they touch no line and no frame.

A panel is divided into points (1/72 inch). What is taken (lines, the frame, other labels) keeps a margin, and a label
goes to where its box lies within one region and deepest inside it.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from theory.geometry.metrics import feature_norms, superposition
from theory.geometry.phases import CELL_PHASES, PHASES, UNDETERMINED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["EXTRA_COLOUR", "OTHERS_COLOUR", "Labels"]

EXTRA_COLOUR, OTHERS_COLOUR = "#C2185B", "#444444"
# Points: sides of sketches, the first that fits being drawn, and the side at which lines and dots have their full size;
# the gap between a sketch and its name, above or beside; what labels keep away from lines; what is between an upright
# line and its density; and how far apart a line's samples are.
_SIDES, _FULL, _GAP, _ASIDE, _MARGIN, _BESIDE, _STEP = (32, 24, 16), 28, 2, 5, 2, 3, 0.5
_NAME_SIZE, _DENSITY_SIZE = 9.0, 8.5
# A norm below which a feature is not drawn as stored; norms and overlaps below which a name says them, since the colour
# is nearer to another phase's.
_FAINT, _SLIGHT = 0.05, 0.5
# Relative luminance from which black is easier to read than white.
_BRIGHT = 0.179

# Column of a panel from the left and row from below, in points, of a box's middle.
Place = tuple[int, int]


class Labels:
    """
    The labels of one panel.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        The panel, with its limits and, as nearly as it is known, its size.
    density, importance : ndarray, shape (P,), (R,)
        Centres of its cells.
    colours : ndarray, shape (P, R, 3)
        Their colours.
    lines : iterable of ndarray, shape (k, 2)
        Densities and importances along what labels must not touch; nan where a line is interrupted.
    """

    def __init__(
        self,
        axes: "Axes",
        density: Float[ndarray, " P"],
        importance: Float[ndarray, " R"],
        colours: Float[ndarray, "P R 3"],
        lines: Iterable[ndarray],
    ) -> None:
        self.axes, self.colours = axes, colours
        box, dpi = axes.get_window_extent(), axes.get_figure(root=True).get_dpi()  # type: ignore[union-attr]
        self._corner, self._points = np.array([box.x0, box.y0]), 72 / dpi
        width, height = (max(int(side * self._points), 1) for side in (box.width, box.height))
        across = self._data(np.stack([np.arange(width) + 0.5, np.full(width, 0.5)], 1))[:, 0]
        upwards = self._data(np.stack([np.full(height, 0.5), np.arange(height) + 0.5], 1))[:, 1]
        # The cell of every point, and what is taken there.
        self.column, self.row = _nearest(density, across), _nearest(importance, upwards)
        self.taken = np.zeros((height, width), dtype=bool)
        for line in lines:
            self._take_line(line)

    def _data(self, places: Float[ndarray, "k 2"]) -> Float[ndarray, "k 2"]:
        """Density and importance at places in points."""
        pixels = self._corner + np.asarray(places) / self._points
        return np.asarray(self.axes.transData.inverted().transform(pixels))

    def _take_line(self, line: Float[ndarray, "k 2"]) -> None:
        height, width = self.taken.shape
        places = (self.axes.transData.transform(line) - self._corner) * self._points
        for start, end in pairwise(places):
            if not np.isfinite([start, end]).all():
                continue
            count = 2 + int(min(np.abs(end - start).max(), 2 * (width + height)) / _STEP)
            x, y = np.floor(np.linspace(start, end, count)).astype(int).T
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            self.taken[y[inside], x[inside]] = True

    def density(self, p: float, low: float, high: float, text: str) -> None:
        """
        Say at which density an upright line lies, beside it, where there is room.

        Parameters
        ----------
        p, low, high : float
            The line's density, and its lowest and highest importance.
        text : str
            What to say.
        """
        size = _size(text, _DENSITY_SIZE)
        width, height = size[1], size[0]
        (x, bottom), (_, top) = (self.axes.transData.transform([(p, low), (p, high)]) - self._corner) * self._points
        free = _windows(~self.taken, width, height + 2 * _MARGIN)
        for side in (1, -1):
            middle = int(x + side * (_BESIDE + width / 2))
            if not 0 <= middle < free.shape[1]:
                continue
            rows = np.flatnonzero(free[:, middle])
            rows = rows[(rows - height / 2 >= bottom) & (rows + height / 2 <= top)]
            if len(rows):
                place = middle, int(rows[np.abs(rows - bottom - 0.7 * (top - bottom)).argmin()])
                self._write(text, place, (width, height), _DENSITY_SIZE, rotation=90)
                return

    def regions(
        self, region: Int[ndarray, "P R"], phase: Int[ndarray, "P R"], W: Float[ndarray, "P R m n"], sketches: bool
    ) -> None:
        """
        Name the phase of every region that has room for its name, and sketch its W.

        Parameters
        ----------
        region : ndarray of int, shape (P, R)
            Number of every cell's region.
        phase : ndarray of int, shape (P, R)
            Phase of the extra feature in every cell.
        W : ndarray, shape (P, R, m, n)
            Embeddings.
        sketches : bool
            Whether to sketch.
        """
        from scipy.ndimage import maximum_filter, minimum_filter

        here = region[self.column][:, self.row].T
        around = 2 * _MARGIN + 1
        near = maximum_filter(self.taken, around)
        edge = _MARGIN + 1
        inside = np.zeros_like(near)
        inside[edge:-edge, edge:-edge] = True
        free = inside & ~near
        for k in np.unique(region)[np.argsort(-np.unique(region, return_counts=True)[1], kind="stable")]:
            self._label(free & minimum_filter(here == k, around), phase, W, sketches and W.shape[-2] <= 2)

    def _label(self, free: Bool[ndarray, "height width"], phase: ndarray, W: ndarray, sketch: bool) -> None:
        """Put name and sketch, or what there is room for, into one region."""
        middle = _deepest(free, 1, 1) if free.sum() >= _SIDES[-1] ** 2 else None
        if not middle:
            return
        cell = self.column[middle[0]], self.row[middle[1]]
        text, sketch = _name(int(phase[cell]), W[cell]), sketch and phase[cell] != UNDETERMINED
        width, height = _size(text, _NAME_SIZE)
        for side in _SIDES if sketch else ():
            stacked, beside = height + _GAP + side, width + _ASIDE + side
            if place := _deepest(free, max(width, side), stacked):
                x, y = place
                up = 1 if y < free.shape[0] / 2 else -1  # names are nearer to the middle than their sketches
                self._sketch(W, (x, y - up * (stacked - side) // 2), side)
                self._write(text, (x, y + up * (stacked - height) // 2), (width, height), _NAME_SIZE)
                return
            if place := _deepest(free, beside, max(height, side)):
                x, y = place
                self._sketch(W, (x - (beside - side) // 2, y), side)
                self._write(text, (x + (beside - width) // 2, y), (width, height), _NAME_SIZE)
                return
        if place := _deepest(free, width, height):
            behind = {"bbox": {"fc": "white", "ec": "none", "pad": 1}} if phase[cell] == UNDETERMINED else {}
            self._write(text, place, (width, height), _NAME_SIZE, **behind)
            return
        for side in _SIDES if sketch else ():
            if place := _deepest(free, side, side):
                self._sketch(W, place, side)
                return

    def _write(self, text: str, place: Place, size: tuple[int, int], points: float, **more: Any) -> None:
        x, y = place
        width, height = size
        columns, rows = (slice(max(at - side // 2, 0), at + side // 2 + 1) for at, side in ((x, width), (y, height)))
        self.taken[rows, columns] = True
        behind = self.colours[self.column[columns]][:, self.row[rows]].mean((0, 1))
        ((p, r),) = self._data(np.array([place]) + 0.5)
        self.axes.text(p, r, text, ha="center", va="center", fontsize=points, zorder=6, linespacing=1.1,
                       color=_readable(behind), **more)  # fmt: skip

    def _sketch(self, W: Float[ndarray, "P R m n"], place: Place, side: int) -> None:
        """Draw the columns of W as lines from the origin, the extra feature to the right; none stored is a ring."""
        from matplotlib.lines import Line2D
        from matplotlib.offsetbox import AnnotationBbox, DrawingArea

        one = W[self.column[place[0]], self.row[place[1]]]
        planar = np.concatenate([one, np.zeros((2 - len(one), one.shape[1]))])
        norms = np.linalg.norm(planar, axis=0)
        strongest = planar[:, -1 if norms[-1] > _FAINT else norms.argmax()]
        angle = np.arctan2(strongest[1], strongest[0])
        planar = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) @ planar
        area, scale = DrawingArea(side, side), min(side / _FULL, 1)
        for i in range(planar.shape[1]):
            colour = EXTRA_COLOUR if i == planar.shape[1] - 1 else OTHERS_COLOUR
            x, y = side / 2 + side * 0.36 * planar[:, i]
            stored = np.linalg.norm(planar[:, i]) > _FAINT
            area.add_artist(Line2D([side / 2, x], [side / 2, y], color=colour, lw=1.5 * scale))
            style: dict[str, Any] = {"ms": 4.5, "mfc": colour} if stored else {"ms": 6.5, "mfc": "none"}
            style["ms"] *= scale
            area.add_artist(Line2D([x], [y], color=colour, marker="o", **style))
        frame = {"boxstyle": "round,pad=0.02", "fc": "white", "ec": "none", "alpha": 0.92}
        ((p, r),) = self._data(np.array([place]) + 0.5)
        box = AnnotationBbox(area, (p, r), pad=0.0, bboxprops=frame)
        box.set_zorder(5)
        self.axes.add_artist(box)


def _name(phase: int, W: Float[ndarray, "m n"]) -> str:
    """The phase in two lines, with what makes its colour another phase's."""
    if phase == UNDETERMINED:
        return "loss zero:\nnot determined"
    if CELL_PHASES[phase] != "superposition":
        return str(PHASES[phase]).replace(" ", "\n", 1)
    (norm,), (overlap,) = feature_norms(W)[-1:], superposition(W)[-1:]
    slight = [f"{what} {x:.1g}" for what, x in (("norm", norm), ("overlap", overlap)) if x < _SLIGHT]
    return "\n".join(["in", "superposition"] if not slight else ["in superposition,", ", ".join(slight)])


def _nearest(centres: Float[ndarray, " k"], values: Float[ndarray, " points"]) -> Int[ndarray, " points"]:
    """Number of the nearest of centres that are evenly spaced in the logarithm."""
    logs = np.log(centres)
    places = np.interp(np.log(values), logs, np.arange(len(logs)))
    return np.asarray(np.rint(places).astype(int))


def _size(text: str, points: float) -> tuple[int, int]:
    """Width and height of some lines of text, in points."""
    from matplotlib.textpath import TextPath

    lines = text.split("\n")
    width = max(TextPath((0, 0), line, size=points).get_extents().width for line in lines)
    return int(width) + 2, int(1.3 * points * len(lines)) + 1


def _windows(free: Bool[ndarray, "height width"], width: int, height: int) -> Bool[ndarray, "height width"]:
    """Where the middle of a box that is wholly free can be."""
    from scipy.ndimage import minimum_filter

    return np.asarray(minimum_filter(free, (height, width), mode="constant", cval=False))


def _deepest(free: Bool[ndarray, "height width"], width: int, height: int) -> Place | None:
    """The middle of a free box that lies deepest inside, in the middle of those that lie as deep; None without one."""
    from scipy.ndimage import distance_transform_cdt

    fits = _windows(free, width, height)
    if not fits.any():
        return None
    depth = np.where(fits, distance_transform_cdt(np.pad(free, 1), metric="chessboard")[1:-1, 1:-1], 0)
    places = np.argwhere(depth >= 0.9 * depth.max())
    row, column = places[np.abs(places - places.mean(0)).sum(1).argmin()]
    return int(column), int(row)


def _readable(colour: Sequence[float] | ndarray) -> str:
    """Black or white, whichever has more contrast to a colour."""
    linear = np.where(
        np.asarray(colour) <= 0.04045, np.asarray(colour) / 12.92, ((np.asarray(colour) + 0.055) / 1.055) ** 2.4
    )
    return "black" if linear @ [0.2126, 0.7152, 0.0722] > _BRIGHT else "white"
