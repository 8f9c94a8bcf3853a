"""Feature benefit and interference, in formulas and for a pair of features
========================================================================

The loss of the linear model in Saxe's form, the ReLU model's loss with one active feature and its simplification at
x = 1 (claim 3): what the slides state less what SymPy derives simplifies to 0.

(a) The formulas, with what the slides leave out: Saxe's form is exact at the best bias, with the variance of a feature,
    p/3 - p^2/4, in front. At x = 1, one active feature at a time and no bias, it is exact without a factor.
(b) What a pair of features of norm 1 costs without bias, against the cosine between them, in units of one unrepresented
    feature. The linear model pays for either sign. With a ReLU a negative cosine is free while one feature is active
    at a time; at finite density the two meet. Dashed: norm and bias optimised. Points: trained antipodal pairs, m = 1.
(c) What trained models make of it, n = 5 and m = 2: the negative share of the interference, the sum of (W_i . W_j)^2
    over pairs. The linear model has no preference; digons have nothing else, the pentagon 87 %.
"""

from figures.shared.script import COLOURS, Settings, headline, main, new_figure

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy.optimize import minimize

from figures.parts.benefit_formulas import remainders
from figures.shared.verdicts import Finding, Verdict
from numerics import train
from theory import Problem, population_loss, unrepresented_loss
from theory.loss.one_sparse import limit_loss

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy import ndarray

# What negative interference costs in the one-sparse case, according to the slides: it is "free".
PRICE_OF_NEGATIVE = 0.0
DENSITIES = (0.1, 0.3, 1.0)
TRAINED_AT = (0.01, 0.03, 0.1, 0.3)
PENTAGON_SHARE = np.cos(0.8 * np.pi) ** 2 / (np.cos(0.4 * np.pi) ** 2 + np.cos(0.8 * np.pi) ** 2)
# Name, what comes first, feature benefit, interference.
FORMULAS = (
    (
        "linear model, best bias",
        r"$L=\left(\frac{p}{3}-\frac{p^2}{4}\right)\,[$",
        r"$\sum_i I_i\,(1-|W_i|^2)^2$",
        r"$\sum_{i\neq j} I_j\,(W_j\cdot W_i)^2\;]$",
    ),
    (
        "ReLU model, one active feature",
        "$L_1=$",
        r"$\sum_i I_i\int_0^1(x-\mathrm{ReLU}(|W_i|^2x+b_i))^2\,dx$",
        r"$\sum_{i\neq j} I_j\int_0^1\mathrm{ReLU}(W_j\cdot W_i\,x+b_j)^2\,dx$",
    ),
    (
        "the same at $x=1$",
        "",
        r"$\sum_i I_i\,(1-\mathrm{ReLU}(|W_i|^2+b_i))^2$",
        r"$\sum_{i\neq j} I_j\,\mathrm{ReLU}(W_j\cdot W_i+b_j)^2$",
    ),
)


def compute(settings: Settings) -> xr.Dataset:
    """Compare the formulas symbolically; the pair against its cosine; the sign of learned interference."""
    data = xr.merge([_pair(5 if settings.quick else 41), _trained_pair(settings), _trained(settings)])
    data.attrs.update({f"remainder_{name}": str(rest) for name, rest in remainders().items()})
    data.attrs["summary"] = _summary(data)
    return data


def _embedding(cosine: float, norm: float = 1.0) -> "ndarray":
    return norm * np.array([[1.0, cosine], [0.0, np.sqrt(max(0.0, 1 - cosine**2))]])


def _pair(points: int) -> xr.Dataset:
    """Losses of a pair against its cosine, in units of one unrepresented feature's."""
    cosines = np.linspace(-1, 1, points)
    plain = [[_relu_loss(p, c, 1.0, 0.0) for c in cosines] for p in (0.0, *DENSITIES)]
    tuned = [[_optimised(p, c) for c in cosines] for p in (0.0, *DENSITIES)]
    problem = Problem(n=2, m=2, density=DENSITIES[0])
    linear = []
    for c in cosines:
        W = _embedding(c)
        b = (np.eye(2) - W.T @ W).sum(1) * DENSITIES[0] / 2  # the best: outputs have the right mean
        linear.append(population_loss(W, b, problem, model="linear") / unrepresented_loss(DENSITIES[0]))
    return xr.Dataset(
        {"linear": ("cosine", linear), "plain": (("density", "cosine"), plain),
         "tuned": (("density", "cosine"), tuned)},
        coords={"cosine": cosines, "density": [0.0, *DENSITIES]},
    )  # fmt: skip


def _relu_loss(density: float, cosine: float, norm: float, bias: float) -> float:
    """Exact loss of the pair; density 0 stands for the limit of one active feature."""
    W, b = _embedding(cosine, norm), np.full(2, bias)
    if density == 0:
        return float(limit_loss(W, b)) * 3
    return float(population_loss(W, b, Problem(n=2, m=2, density=density))) / float(unrepresented_loss(density))


def _optimised(density: float, cosine: float) -> float:
    """The least loss over norm and bias; in the limit of one active feature the bias cannot be positive."""

    def loss(v: "ndarray") -> float:
        return _relu_loss(density, cosine, float(v[0]), float(v[1]))

    highest = 0.0 if density == 0 else 1.0
    # Other starts, such as (1.2, -0.2), end at the same loss for every cosine and density drawn here.
    return float(minimize(loss, (1.0, 0.0), method="Nelder-Mead", bounds=[(0, 3), (-2, highest)], tol=1e-6).fun)


def _trained_pair(settings: Settings) -> xr.Dataset:
    """Trained ReLU models of two features in one dimension: their cosine is -1 or there is no second feature."""
    problem = Problem(m=1, density=np.repeat(np.array(DENSITIES)[:, None], 2, axis=1))
    instances, steps = (3, 800) if settings.quick else (8, 6000)
    run = train(problem, instances=instances, steps=steps, seed=settings.seed, learning_rate=0.01, batch=512)
    each = Problem(m=1, density=run["density"].values)
    loss = np.reshape(population_loss(run["W"].values, run["b"].values, each), (len(DENSITIES), instances))
    unit = np.array([unrepresented_loss(p) for p in DENSITIES])
    product = run["W"].values[:, 0].prod(-1).reshape(loss.shape)
    best = loss.argmin(1)
    rows = np.arange(len(DENSITIES))
    return xr.Dataset({"pair_loss": ("trained_density", loss[rows, best] / unit),
                       "pair_coupling": ("trained_density", product[rows, best])},
                      coords={"trained_density": list(DENSITIES)})  # fmt: skip


def _trained(settings: Settings) -> xr.Dataset:
    """Negative share of the interference in trained models, n = 5 and m = 2."""
    problem = Problem(m=2, density=np.repeat(np.array(TRAINED_AT)[:, None], 5, axis=1))
    instances, steps = (4, 1000) if settings.quick else (32, 8000)
    shares = []
    for model in ("linear", "relu"):
        run = train(problem, instances=instances, steps=steps, seed=settings.seed, model=model, learning_rate=0.01,
                    batch=512, workers=settings.workers)  # fmt: skip
        W = run["W"].values
        G = (np.swapaxes(W, -1, -2) @ W) * (1 - np.eye(5))
        share = np.where(G < 0, G**2, 0).sum((-2, -1)) / (G**2).sum((-2, -1))
        shares.append(share.reshape(len(TRAINED_AT), instances))
    return xr.Dataset({"negative_share": (("model", "learned_density", "instance"), shares)},
                      coords={"model": ["linear", "relu"], "learned_density": list(TRAINED_AT)})  # fmt: skip


def _summary(data: xr.Dataset) -> str:
    names = ("saxe", "one_sparse", "at_one", "sharing")
    share = data["negative_share"].mean("instance").values.round(3)
    return "\n".join([
        "stated less derived: " + ", ".join(f"{name} {data.attrs[f'remainder_{name}']}" for name in names),
        f"antipodal pair, norm 1 and no bias: linear {float(data['linear'][0]):.4f}, ReLU "
        + ", ".join(f"{float(v):.4f} at p = {p:g}" for p, v in data["plain"].isel(cosine=0).to_series().items()),
        f"trained pair in one dimension at p = {list(DENSITIES)}: {data['pair_loss'].values.round(4).tolist()}",
        f"negative share at p = {list(TRAINED_AT)}: linear {share[0].tolist()}, ReLU {share[1].tolist()}; "
        f"digons 1, pentagon {PENTAGON_SHARE:.4f}",
    ])  # fmt: skip


def judge(data: xr.Dataset) -> list[Verdict]:
    """Claim 3: every formula's remainder, and what negative interference costs."""
    zero = {name: data.attrs[f"remainder_{name}"] == "0" for name in ("saxe", "one_sparse", "at_one", "sharing")}
    negative = data["cosine"].values <= 0
    price = data["plain"].sel(density=0.0).values[negative].max()
    dense = data["plain"].sel(density=DENSITIES[0]).values[0]
    findings = (
        Finding("the linear model's L is, up to a factor, feature benefit + interference (Saxe's form)",
                "exact at the best bias with factor p/3 - p^2/4; without that bias an error of the mean is added",
                zero["saxe"]),
        Finding("interference prevents superposition in linear models",
                "(cos a, sin a) costs I_1 sin^2 a + I_2 cos^2 a: sharing never gains (nor loses if I_1 = I_2)",
                zero["sharing"]),
        Finding("L_1 of the ReLU model, as two sums of integrals", "equal to the derived one for all signs of g x + b",
                zero["one_sparse"]),
        Finding("its simplification at x = 1", "equal to the derived one, an active feature's value being 1",
                zero["at_one"]),
        Finding(f"negative interference costs {PRICE_OF_NEGATIVE:g} in the one-sparse case",
                f"{price:.4f} for cosines <= 0 and b <= 0; b > 0 would let b^3 / (3 |g|) through; with p = "
                f"{DENSITIES[0]:g} an antipodal pair costs {dense:.4f} of an unrepresented feature",
                bool(abs(price - PRICE_OF_NEGATIVE) < 1e-12)),
        _pushed_below_zero(data["cosine"].values),
    )  # fmt: skip
    why = (
        "Centred independent features are uncorrelated, so that the linear loss is a sum of squares of couplings of "
        "either sign; the ReLU of a negative number is 0, whatever its size, until a second feature adds to it."
    )
    return [Verdict(3, findings, why)]


def _pushed_below_zero(cosines: "ndarray") -> Finding:
    """What positive interference costs beside the features' own errors, with a bias that pushes it below zero."""
    costs = [
        3 * (float(limit_loss(_embedding(c), np.full(2, b))) - 2 * float(limit_loss(np.ones((1, 1)), np.full(1, b))))
        for c in cosines[cosines > 0]
        for b in (-c, -c / 2)
    ]
    enough, half = max(costs[::2]), max(costs[1::2])
    return Finding(
        f"interference that a negative bias pushes below zero costs {PRICE_OF_NEGATIVE:g} in the one-sparse case",
        f"{enough:.4f} for cosines > 0 and b = -cosine, {half:.4f} with half that bias, in units of an unrepresented "
        "feature; what the bias costs the features themselves is apart",
        bool(abs(enough - PRICE_OF_NEGATIVE) < 1e-12),
    )


def draw(data: xr.Dataset) -> "Figure":
    """Formulas above, the pair and the trained models below."""
    figure = new_figure(12.0, 8.2)
    grid = figure.add_gridspec(2, 2, height_ratios=(1, 1.9), width_ratios=(1.35, 1))
    _draw_formulas(figure.add_subplot(grid[0, :]))
    _draw_pair(figure.add_subplot(grid[1, 0]), data)
    _draw_shares(figure.add_subplot(grid[1, 1]), data)
    share = 100 * data["negative_share"].isel(learned_density=int(data["learned_density"].values.argmin())).mean(
        "instance"
    )
    p = float(data["learned_density"].min())
    headline(
        figure,
        f"Behind a ReLU negative interference is free: at p = {p:g} it is {float(share.sel(model='relu')):.0f}% of all "
        f"interference in trained ReLU models, {float(share.sel(model='linear')):.0f}% in linear ones",
    )
    return figure


def _draw_formulas(axes: "Axes") -> None:
    axes.set_axis_off()
    axes.set_title("(a) the formulas, derived", fontsize=11, loc="left")
    for row, (name, lead, benefit, interference) in enumerate(FORMULAS):
        y = 0.74 - 0.32 * row
        axes.text(0.0, y, name, fontsize=11, va="center")
        for x, part, align in ((0.355, lead, "right"), (0.37, benefit, "left"), (0.695, "$+$", "right"),
                               (0.71, interference, "left")):  # fmt: skip
            axes.text(x, y, part, fontsize=13, va="center", ha=align)
    for x, name, colour in ((0.37, "feature benefit", COLOURS[0]), (0.71, "interference", COLOURS[5])):
        axes.text(x, 1.02, name, fontsize=11, va="center", color=colour, weight="bold")


def _draw_pair(axes: "Axes", data: xr.Dataset) -> None:
    cosine = data["cosine"].values
    axes.plot(cosine, data["linear"], color=COLOURS[7], lw=2.2, label="linear, any density")
    for colour, p in zip((COLOURS[0], COLOURS[2], COLOURS[1], COLOURS[5]), data["density"].values, strict=True):
        label = "ReLU, one active feature" if p == 0 else f"ReLU, p = {p:g}"
        axes.plot(cosine, data["plain"].sel(density=p), color=colour, lw=2, label=label)
        axes.plot(cosine, data["tuned"].sel(density=p), color=colour, lw=1.3, ls="--")
        if p and data["pair_coupling"].sel(trained_density=p) < -0.1:  # else the second feature is left out
            axes.plot(-1, data["pair_loss"].sel(trained_density=p), "o", color=colour, ms=7, clip_on=False, zorder=5)
    axes.set_xlabel("cosine between the two features")
    axes.set_ylabel("loss of the pair\n(one unrepresented feature = 1)")
    axes.set_xlim(-1, 1)
    axes.set_ylim(0, 2.1)
    axes.legend(frameon=False, fontsize=9, loc="upper center")
    axes.set_title("(b) a pair: no bias (solid), optimised (dashed)", fontsize=11, loc="left")


def _draw_shares(axes: "Axes", data: xr.Dataset) -> None:
    p = data["learned_density"].values
    rng = np.random.default_rng(0)
    for model, colour, marker in (("linear", COLOURS[7], "s"), ("relu", COLOURS[0], "o")):
        share = data["negative_share"].sel(model=model).values
        spread = np.exp(0.1 * rng.uniform(-1, 1, share.shape))
        name = "ReLU" if model == "relu" else "linear"
        axes.plot((p[:, None] * spread).ravel(), share.ravel(), marker, color=colour, ms=4, alpha=0.45, ls="none",
                  label=f"{name}, trained")  # fmt: skip
        axes.plot(p, share.mean(1), "_", color=colour, ms=26, mew=2.5)
        axes.plot([], [], color=colour, lw=2.5, label=f"{name}, mean")
    axes.axhline(1, color=COLOURS[6], lw=1.2, label="digons: 1")
    axes.axhline(PENTAGON_SHARE, color=COLOURS[6], lw=1.2, ls="--", label=f"pentagon: {PENTAGON_SHARE:.3f}")
    axes.axhline(0.5, color=COLOURS[6], lw=1.2, ls=":", label="no preference: 1/2")
    axes.set_xscale("log")
    axes.set_xlim(0.5, 0.006)
    axes.set_ylim(-0.38, 1.05)  # room for the legend
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_xlabel("density  $1-S$      (dense → sparse)")
    axes.set_ylabel("negative share of the interference")
    axes.legend(frameon=False, fontsize=9, loc="lower left", ncol=2)
    axes.set_title("(c) trained, n = 5 and m = 2", fontsize=11, loc="left")


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
