"""Scaling laws: how the best loss falls with the dimensions, and how much features overlap
========================================================================================

The setting of Liu, Liu and Gore 2025: values uniform on [0, 2], one of n features active on average, equally often or
by a power law p_i ~ i^-(1 + alpha). They train models with weight decay and find that in strong superposition the loss
falls as 1/m whatever the law of p, in weak superposition as the frequency of the features left out, and that the mean
squared overlap is (n - m)/(m (n - 1)). Here stand the best losses: of models found by descents of the exact loss (dots;
upper bounds with a certified error), and predicted by relaxed frames (lines) up to a million features.

(a) Equal features, in units of the zero model's loss, with the exponents fitted. Grey: falling as 1/m.
(b) Power laws. Dashed: the loss of the model that stores the first m features alone, the frequency tail.
(c) The exponent between neighbouring numbers of dimensions: where the regimes change.
(d) Mean squared cosine of two stored features, in units of (n - m)/(m (n - 1)): 1 if all n share evenly.
"""

from figures.shared.script import COLOURS, Settings, headline, main, new_figure

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr
from numpy import ndarray

from figures.shared.verdicts import Verdict
from theory.search.scaling import CASES, ScalingCase, fitted_exponent, scaling_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Series", "compute", "draw", "judge", "series"]

# Labels of losses, in units of the zero model's.
_LEVELS = tuple(digit * 10.0**power for power in range(-6, 1) for digit in (1, 2, 5))
# How the loss of the first m features alone is drawn.
_TAIL = {"ls": "--", "lw": 1, "marker": "_", "ms": 9}
_QUICK = (
    *(ScalingCase(60, m, predicted=predicted) for m in (5, 8, 12) for predicted in (True, False)),
    *(ScalingCase(60, m, 0.0) for m in (5, 8, 12)),
)


class Series(NamedTuple):
    """
    One law: losses over dimensions.

    Attributes
    ----------
    n : int
        Features.
    alpha, decay : float
        Of the densities' power law, -1 for equal ones, and of the penalty.
    predicted : bool
        Whether losses are predicted.
    rows : xarray.Dataset
        Its cases, by rising m.
    """

    n: int
    alpha: float
    decay: float
    predicted: bool
    rows: xr.Dataset

    @property
    def exponent(self) -> tuple[float, float] | None:
        """Exponent of loss ~ m^-exponent, and its standard error; None for fewer than three points."""
        if self.rows.sizes["case"] < 3:
            return None
        return fitted_exponent(self.rows["m"].values, self.rows["loss"].values)

    @property
    def local(self) -> tuple[ndarray, ndarray]:
        """Geometric means of neighbouring m, and the exponent between them."""
        m, loss = np.log(self.rows["m"].values), np.log(self.rows["loss"].values)
        return np.exp((m[1:] + m[:-1]) / 2), -np.diff(loss) / np.diff(m)

    @property
    def name(self) -> str:
        """As legends call it."""
        which = "equal" if self.alpha == -1 else rf"$p_i \propto i^{{-{1 + self.alpha:g}}}$"
        penalty = f", decay {self.decay:g}" if self.decay else ""
        return f"n = {_number(self.n)}, {which}{penalty}{', predicted' if self.predicted else ''}"


def _number(n: int) -> str:
    power = round(np.log10(n))
    return f"$10^{power}$" if n == 10**power > 1e4 else f"{n:g}"


def series(data: xr.Dataset) -> Iterator[Series]:
    """
    Sort cases into laws.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.

    Yields
    ------
    Series
        The laws, in the order in which they first occur.
    """
    keys = np.stack([data[name].values for name in ("n", "alpha", "decay", "predicted")], 1)
    for n, alpha, decay, predicted in dict.fromkeys(map(tuple, keys.tolist())):
        rows = data.isel(case=np.flatnonzero((keys == (n, alpha, decay, predicted)).all(1))).sortby("m")
        yield Series(int(n), alpha, decay, bool(predicted), rows)


def compute(settings: Settings) -> xr.Dataset:
    """Losses and overlaps of all cases."""
    data = scaling_table(_QUICK if settings.quick else CASES, settings.seed)
    data.attrs["summary"] = "\n".join(_told(one) for one in series(data))
    return data


def _told(one: Series) -> str:
    fit = one.exponent
    told = "too few points for an exponent" if fit is None else f"loss ~ m^-({fit[0]:.3f} +- {fit[1]:.3f})"
    name = one.name.translate(str.maketrans("", "", "${}\\")).replace("p_i propto ", "p ~ ")
    return f"{name}, m = {', '.join(f'{m:g}' for m in one.rows['m'].values)}: {told}"


def draw(data: xr.Dataset) -> "Figure":
    """Losses, exponents and overlaps."""
    figure = new_figure(12.0, 9.0)
    panels = figure.subplots(2, 2)
    laws = list(series(data))
    colour = {
        name: COLOURS[k % len(COLOURS)]
        for k, name in enumerate(dict.fromkeys((one.n, one.alpha, one.decay) for one in laws))
    }
    equal = [one for one in laws if one.alpha == -1]
    for axes, some, panel in (
        (panels[0, 0], equal, _draw_losses),
        (panels[0, 1], [one for one in laws if one.alpha > -1], _draw_losses),
        (panels[1, 0], laws, _draw_exponents),
        (panels[1, 1], [one for one in laws if not one.decay], _draw_overlaps),
    ):
        for one in some:
            panel(axes, one, colour[one.n, one.alpha, one.decay])
        axes.set_xscale("log")
        places = sorted({float(m) for one in some for m in one.rows["m"].values})
        axes.set_xticks(_apart(places), [f"{m:g}" for m in _apart(places)])
        axes.minorticks_off()
        axes.set_xlabel("dimensions m")
        axes.spines[["top", "right"]].set_visible(False)
    for axes, letter, title in zip(
        panels.flat, "abcd", ("equal features", "power laws", "local exponents", "overlaps"), strict=True
    ):
        axes.set_title(f"({letter}) {title}", loc="left", fontsize=11)
    for axes in panels[0]:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        levels = [y for y in _LEVELS if low <= y <= high]
        axes.set_yticks(levels, [f"{y:g}" for y in levels])
        axes.minorticks_off()
        axes.set_ylabel("best loss / loss of the zero model")
    _guide(panels[0, 0], equal)
    panels[0, 1].plot([], [], color="0.4", label="the first m alone: the tail", **_TAIL)
    panels[1, 0].axhline(1, color="0.7", lw=1, zorder=0)
    panels[1, 0].set_ylabel("exponent between neighbours")
    panels[1, 1].axhline(1, color="0.7", lw=1, zorder=0)
    panels[1, 1].set_ylabel("mean squared cosine / ((n − m) / (m (n − 1)))")
    for axes in panels[0]:
        axes.legend(frameon=False, fontsize=8.5)
    headline(figure, _title(laws))
    return figure


def _apart(places: list[float]) -> list[float]:
    """Those that are far enough from the one before for a label."""
    kept: list[float] = []
    for m in places:
        if not kept or m > 1.2 * kept[-1]:
            kept.append(m)
    return kept


def _style(one: Series) -> dict[str, object]:
    return {"ls": "-", "lw": 1.6, "marker": ""} if one.predicted else {"ls": "", "marker": "o", "ms": 5}


def _draw_losses(axes: "Axes", one: Series, colour: str) -> None:
    m, rows = one.rows["m"].values, one.rows
    fit = one.exponent
    label = one.name if fit is None else f"{one.name}: {fit[0]:.2f} ± {fit[1]:.2f}"
    axes.plot(m, rows["loss"] / rows["zero"], color=colour, label=label, **_style(one))  # type: ignore[arg-type]
    if one.alpha > -1 and not one.decay and not one.predicted:
        axes.plot(m, rows["tail"] / rows["zero"], color=colour, **_TAIL)  # type: ignore[arg-type]


def _draw_exponents(axes: "Axes", one: Series, colour: str) -> None:
    m, exponent = one.local
    axes.plot(m, exponent, color=colour, **_style(one))  # type: ignore[arg-type]


def _draw_overlaps(axes: "Axes", one: Series, colour: str) -> None:
    m, n = one.rows["m"].values, one.n
    axes.plot(m, one.rows["overlap"] / ((n - m) / (m * (n - 1))), color=colour, **_style(one))  # type: ignore[arg-type]


def _guide(axes: "Axes", equal: list[Series]) -> None:
    """A line that falls as 1/m through the largest law's last point."""
    if equal:
        rows = max(equal, key=lambda one: (one.n, one.predicted)).rows
        m, y = rows["m"].values, (rows["loss"] / rows["zero"]).values
        axes.plot(m, y[-1] * m[-1] / m, color="0.7", lw=1, ls=":", zorder=0, label="falling as 1/m")


def _title(laws: list[Series]) -> str:
    """Between which exponents equal features' best losses fall."""
    local = np.concatenate([one.local[1] for one in laws if one.alpha == -1])
    return (
        f"The best loss of equal features falls as m to the power of minus {local.min():.1f} to minus {local.max():.1f}"
    )


def judge(data: xr.Dataset) -> list[Verdict]:
    """None of the documents' claims is about scaling."""
    return []


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
