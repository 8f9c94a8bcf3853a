"""Superposition demonstrated
==========================

Linear models (claim 1) and ReLU models (claim 2) from dense to sparse features.

One column per density. Rows: W^T W and b of the linear model; W^T W and b of the ReLU model; the norms of its
columns, coloured by superposition; the last two again for more features. Small: n = 20, m = 5, I = 0.7^i; large:
n = 80, m = 20, I = 0.9^i. Below: the number of represented features (norm above 1/2), learned and in the ideal pairing.

The linear model's optimum is known exactly: with independent features of equal density the loss is that of a weighted
low-rank approximation, whose best projects on the m most important features: W^T W = diag(1, ..., 1, 0, ..., 0), b = 0
for them and E x_i = p/2 for the others, loss (p/3 - p^2/4) times the sum of the others' importances.

The small ReLU models are the best of a few trained ones, followed down to their exact local minimum (the quick version
leaves that out); the large ones are the best of a few trained ones. Ideally, the first antipodal pair is that of
features m and m + 1, and pays below p = 2 / (5/2 + I_m / I_{m+1}).
"""

from figures.shared.script import Settings, main

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr

from figures.parts.demo_panels import draw
from figures.parts.demo_problems import DENSITIES, SIZES, first_pair, linear_optimum, problems
from figures.shared.training import PAPER_RECIPE, trained
from figures.shared.verdicts import NORMS, PAPER, Finding, Verdict, weighed
from numerics import train
from numerics.agreement.references import nearest_minima
from theory import Problem, best_pairing, feature_norms, population_loss, superposition

if TYPE_CHECKING:
    from numpy import ndarray

# From this norm on a feature is represented in the picture.
REPRESENTED = 0.5
# Superposition below this is none: what training leaves of orthogonality.
UNTOUCHED = 0.05
# The slides, for n = 20 and m = 5: features that the linear model learns, that the ReLU model learns where they are
# dense, and that are in superposition where they are sparsest.
STATED = {"linear": 5, "dense": 5, "sparsest": 20}
# How close learned linear models come: entries of W^T W, biases in standard deviations of a feature, relative loss.
_LEARNED, _LEARNED_BIAS, _LEARNED_LOSS = 0.05, 0.02, 1e-3
# Couplings from here on count, biases below this are negative, and partners are coupled by more than this.
_COUPLED, _NEGATIVE, _PARTNERS = 0.05, -0.02, 0.3


def compute(settings: Settings) -> xr.Dataset:
    """Train linear and ReLU models at every density; refine the small ReLU ones."""
    quick = settings.quick
    parts = [
        _trained("small", "linear", 1, 3000 if quick else 8000, settings),
        _trained("small", "relu", 1 if quick else 8, 2000 if quick else 8000, settings),
        _trained("large", "relu", 1 if quick else 4, 200 if quick else 10_000, settings),
        _paper(1 if quick else 4, settings),
        _ideal(13 if quick else 61),
    ]
    data = xr.merge(parts)
    data.attrs["summary"] = _summary(data)
    return data


def _trained(size: str, model: str, instances: int, steps: int, settings: Settings) -> xr.Dataset:
    """Best of some trained models per density."""
    problem = problems(size)
    learned = train(problem, instances=instances, steps=steps, seed=settings.seed, model=model, learning_rate=0.01,
                    workers=settings.workers)  # fmt: skip
    loss = learned["loss"].values.reshape(-1, instances)
    best = loss.argmin(1) + instances * np.arange(len(loss))
    W, b = learned["W"].values[best].astype(float), learned["b"].values[best].astype(float)
    counts = (feature_norms(learned["W"].values) > REPRESENTED).sum(-1).reshape(-1, instances)
    if model == "linear":
        exact = np.asarray(population_loss(W, b, problem, model="linear"))
    elif size == "small" and not settings.quick:
        minima = nearest_minima(problem, W, b)
        W, b, exact = minima.W, minima.b, minima.loss
    else:
        exact = loss.min(1)
    name = f"{size}_{model}"
    return xr.Dataset(
        {
            f"{name}_W": (("density", f"{size}_dimension", f"{size}_feature"), W),
            f"{name}_b": (("density", f"{size}_feature"), b),
            f"{name}_loss": ("density", exact),
            f"{name}_counts": (("density", f"{name}_instance"), counts),
        },
        coords={"density": DENSITIES},
    )


def _paper(instances: int, settings: Settings) -> xr.Dataset:
    """Small ReLU models by the paper's recipe, as training leaves them: the best of some per density."""
    W, b = trained(problems("small"), instances, settings, **PAPER_RECIPE).best
    return xr.Dataset(
        {
            "paper_relu_W": (("density", "small_dimension", "small_feature"), W),
            "paper_relu_b": (("density", "small_feature"), b),
        },
        coords={"density": DENSITIES},
    )


def _ideal(points: int) -> xr.Dataset:
    """Number of represented features in the ideal pairing, over densities."""
    fine = np.geomspace(1.0, 0.001, points)
    columns = {}
    for size, (n, m, decay) in SIZES.items():
        weight = decay ** np.arange(n)
        pairings = [best_pairing(Problem(n=n, m=m, density=float(p), importance=weight)) for p in fine]
        columns[f"{size}_ideal"] = ("fine_density", [n - len(pairing.unrepresented) for pairing in pairings])
    return xr.Dataset(columns, coords={"fine_density": fine})


def _summary(data: xr.Dataset) -> str:
    G, b, loss = linear_optimum("small")
    W = data["small_linear_W"].values
    off = np.abs(np.swapaxes(W, 1, 2) @ W - G).max((1, 2))
    lines = [
        f"linear: largest difference from the exact optimum per density in W^T W {off.round(3).tolist()}, "
        f"in b {np.abs(data['small_linear_b'].values - b).max(1).round(4).tolist()}, "
        f"of the loss {(data['small_linear_loss'].values / loss - 1).max():.1e} of itself",
    ]
    for size in SIZES:
        W, b = data[f"{size}_relu_W"].values, data[f"{size}_relu_b"].values
        stored, overlap = feature_norms(W) > REPRESENTED, superposition(W)
        touched = (overlap > UNTOUCHED) & stored
        alone = [int(np.argmax(row)) if row.any() else int(stored[i].sum()) for i, row in enumerate(touched)]
        couplings = np.swapaxes(W, 1, 2) @ W * ~np.eye(W.shape[2], dtype=bool)
        lines += [
            f"{size}, densities {np.round(DENSITIES, 4).tolist()}:",
            f"  represented {stored.sum(1).tolist()}, of them in superposition {touched.sum(1).tolist()}, "
            f"most important features without {alone}",
            f"  represented with a bias below {_NEGATIVE}: {(stored & (b < _NEGATIVE)).sum(1).tolist()}; couplings "
            f"above {_COUPLED}: {((couplings > _COUPLED).sum((1, 2)) // 2).tolist()}, below -{_COUPLED}: "
            f"{((couplings < -_COUPLED).sum((1, 2)) // 2).tolist()}",
            f"  the first pair pays, ideally stored, below p = {first_pair(size):.4f}",
        ]
    return "\n".join(lines)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Compare what linear and ReLU models learn, n = 20 and m = 5, with what the slides say."""
    linear = Verdict(
        1,
        _linear_findings(data),
        "With independent features of one density the linear model's loss is that of a weighted low-rank "
        "approximation: the best is the projection on the most important features, whatever the density.",
    )
    relu = Verdict(
        2,
        tuple(_relu_findings(data)),
        "A ReLU cuts negative interference off, so that an antipodal pair costs little where features are seldom "
        "active together, and the least important of the stored features share first. Negative biases filter positive "
        "interference in turn, which makes room for more; the least important stay out in the best minimum found.",
    )
    return [linear, relu]


def _linear_findings(data: xr.Dataset) -> tuple[Finding, ...]:
    """Compare the linear models with the projection on the top features."""
    _, b, loss = linear_optimum("small")
    W = data["small_linear_W"].values
    stated = np.diag((np.arange(W.shape[2]) < STATED["linear"]).astype(float))
    off = float(np.abs(np.swapaxes(W, 1, 2) @ W - stated).max())
    bias = np.abs(data["small_linear_b"].values - b).max(1) / np.sqrt(DENSITIES / 3 - DENSITIES**2 / 4)
    excess = data["small_linear_loss"].values / loss - 1
    return (
        Finding(
            f"W^T W is 1 on the top {STATED['linear']} features and 0 elsewhere, at every density",
            f"largest difference of an entry {off:.4f}, densities {DENSITIES[0]:g} to {DENSITIES[-1]:g}",
            off < _LEARNED,
        ),
        Finding(
            "the biases are 0 for them and E x_i for the others",
            f"largest difference {bias.max():.4f} standard deviations of a feature",
            bool(bias.max() < _LEARNED_BIAS),
        ),
        Finding(
            "linear models learn this optimum",
            f"their loss is above that of the exact optimum by {excess.max():.1e} at most",
            bool(excess.min() + 1e-12 >= 0 and excess.max() < _LEARNED_LOSS),
        ),
    )


class _Models(NamedTuple):
    """ReLU models per density: which features are represented, which of them shared; couplings, biases, overlaps."""

    stored: "ndarray"
    touched: "ndarray"
    couplings: "ndarray"
    b: "ndarray"


# A recipe's models, the norm from which on a feature is represented, and the overlap from which on it is shared.
_Choice = tuple[str, float, float]


def _models(data: xr.Dataset, choice: _Choice) -> _Models:
    name, norm, overlap = choice
    W, b = data[f"{name}_relu_W"].values, data[f"{name}_relu_b"].values
    stored = feature_norms(W) > norm
    G = np.swapaxes(W, 1, 2) @ W * ~np.eye(W.shape[2], dtype=bool)
    return _Models(stored, stored & (superposition(W) > overlap), G, b)


_USUAL = f"norm above {REPRESENTED:g}"
_CHOICES: dict[str, _Choice] = {
    **{f"norm above {norm:g}": ("small", norm, UNTOUCHED) for norm in NORMS},
    **{f"in superposition from {overlap:g}": ("small", REPRESENTED, overlap) for overlap in (0.1, 0.25)},
    **{f"{PAPER}, norm above {norm:g}": ("paper", norm, UNTOUCHED) for norm in NORMS},
}


def _relu_findings(data: xr.Dataset) -> Iterator[Finding]:
    """What ReLU models learn from dense to sparse features, for every recipe, norm and overlap."""
    at, measured = f"at density {DENSITIES[-1]:g}", {choice: _models(data, choice) for choice in _CHOICES.values()}

    def finding(stated: str, measure: Callable[[_Models], tuple[str, bool]]) -> Finding:
        return weighed(stated, lambda choice: measure(measured[choice]), _CHOICES, _USUAL)

    def dense(models: _Models) -> tuple[str, bool]:
        kept = np.flatnonzero(models.stored[0])
        told = f"{len(kept)} at density {DENSITIES[0]:g}, the least important number {kept.max(initial=-1) + 1}"
        return told, kept.tolist() == list(range(STATED["dense"]))

    def pairs(models: _Models) -> tuple[str, bool]:
        k, G = _begin(models), models.couplings
        shared = models.touched[k]
        partners = (np.abs(G[k]) > _PARTNERS).sum(1)[shared]
        told = (
            f"at density {DENSITIES[k]:.3f}, {shared.sum()} of {models.stored[k].sum()} represented features are in "
            f"superposition, {(partners == 1).sum()} of them with one partner; all couplings are between "
            f"{G[k].min():.2f} and {G[k].max():.2f}"
        )
        return told, bool((partners == 1).all() and G[k].max() < _COUPLED)

    def untouched(models: _Models) -> tuple[str, bool]:
        k, first = _begin(models), models.touched[:, 0]
        free = int(np.argmax(models.touched[k]))
        joined = f"from density {DENSITIES[int(np.argmax(first))]:.3f} on" if first.any() else "nowhere"
        told = f"the {free} most important are in no superposition at density {DENSITIES[k]:.3f}; the first is {joined}"
        return told, free > 0

    def shared(models: _Models) -> tuple[str, bool]:
        count, kept = models.touched[-1].sum(), models.stored[-1].sum()
        return f"{count} of {kept} {at}", bool(count == kept)

    def everything(models: _Models) -> tuple[str, bool]:
        kept, n = models.stored[-1].sum(), models.stored.shape[1]
        count = models.touched[-1].sum()
        return f"{count} of {n} {at}; {n - kept} are not represented", bool(count == STATED["sparsest"])

    def packing(models: _Models) -> tuple[str, bool]:
        counts = models.stored.sum(1)
        told = f"represented from dense to sparse: {', '.join(map(str, counts))}"
        return told, bool((np.diff(counts) >= 0).all() and counts[-1] > counts[0])

    def positive(models: _Models) -> tuple[str, bool]:
        k = _begin(models)
        above, below = ((sign * models.couplings > _COUPLED).sum((1, 2)) // 2 for sign in (1, -1))
        told = (
            f"{above[-1]} pairs with a coupling above {_COUPLED} and {below[-1]} below -{_COUPLED} {at}; {above[k]} "
            f"and {below[k]} where pairs begin{_first(above)}"
        )
        return told, bool(above[-1] > 0 and above[k] == 0)

    def negative(models: _Models) -> tuple[str, bool]:
        k, kept = _begin(models), models.stored.sum(1)
        count = (models.stored & (models.b < _NEGATIVE)).sum(1)
        told = (
            f"{count[-1]} of {kept[-1]} represented features have one {at}, {count[k]} of {kept[k]} where pairs begin"
            f"{_first(count)}"
        )
        return told, bool(2 * count[-1] > kept[-1] and count[k] == 0)

    yield finding(f"dense: the top {STATED['dense']} features, as in the linear model", dense)
    yield finding("sparser: antipodal pairs first", pairs)
    yield finding("the most important features are untouched at first", untouched)
    yield finding("represented features: all in superposition", shared)
    yield finding(f"all {STATED['sparsest']} features in superposition", everything)
    yield finding("models continue packing more", packing)
    yield finding("positive interference appears later than pairs", positive)
    yield finding("negative biases appear later than pairs", negative)


def _first(counts: "ndarray") -> str:
    """From which density on, from dense to sparse, there are any."""
    return f"; the first at density {DENSITIES[int(np.argmax(counts > 0))]:.3f}" if counts.any() else ""


def _begin(models: _Models) -> int:
    """Where, from dense to sparse, superposition begins."""
    return int(np.argmax(models.touched.any(1)))


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
