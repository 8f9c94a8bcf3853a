"""Training on a fixed finite data set, beside training on fresh samples, and the loss of both on everything."""

from figures.shared.script import Settings

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy import ndarray

from figures.shared.training import PAPER_RECIPE, trained
from numerics import Parameters, loss_and_gradient
from numerics.training.descent import learning_rates, make_optimiser
from theory import Problem, population_loss
from theory.tools.command import progress

__all__ = ["FRESH", "IMPORTANCE", "MODELS", "RECIPE", "SPARSITIES", "M", "N", "empirical_loss", "learn", "make_data",
           "run_all"]  # fmt: skip

# The post's experiment.
N, M = 40, 5
SPARSITIES = (0.1, 0.5, 0.9)
IMPORTANCE = np.linspace(1.0, 0.1, N)
MODELS = {"linear": "linear", "relu": "ReLU output", "relu_hidden": "ReLU output and hidden"}
# What the post does not say: sizes of the data set, and how it trains.
_SIZES, _QUICK_SIZES = (30, 100, 300, 1000, 3000, 10_000), (100, 1000)
_QUICK_STEPS = 600
RECIPE: Mapping[str, Any] = {
    "optimiser": "adam", "learning_rate": 1e-2, "schedule": "cosine", "steps": 2000, "batch": 512,
}  # fmt: skip
# Column of the results for fresh samples at every step: no data set at all.
FRESH = 0
# Samples, never trained on, for the loss of models that have no exact one.
_HELD_OUT = 50_000


def make_data(samples: int, sparsity: float, runs: int, seed: int) -> ndarray:
    """
    Draw data sets as the post does.

    Parameters
    ----------
    samples : int
        Samples of a data set.
    sparsity : float
        Probability that a feature of a sample is 0, in [0, 1].
    runs : int
        Number of data sets.
    seed : int
        Seed.

    Returns
    -------
    ndarray of float32, shape (runs, samples, 40)
        Uniform values on [0, 1) times a mask.
    """
    rng = np.random.default_rng([seed, samples, round(1000 * sparsity)])
    active = rng.random((runs, samples, N)) >= sparsity
    return np.asarray(rng.random((runs, samples, N)) * active, dtype=np.float32)


def first_weights(runs: int, seed: int) -> ndarray:
    """The post's initial weights: normal, of standard deviation sqrt(1 / n)."""
    return np.random.default_rng([seed, 1]).standard_normal((runs, M, N)) * np.sqrt(1 / N)


def learn(data: ndarray, model: str, seed: int, recipe: Mapping[str, Any] = RECIPE) -> tuple[ndarray, ndarray]:
    """
    Train one model on each data set, as ``numerics.train`` does on fresh samples.

    Parameters
    ----------
    data : ndarray of float32, shape (runs, samples, n)
        Data sets; batches are drawn from them at random, or all of one that is no larger is taken at every step.
    model : {"linear", "relu", "relu_hidden"}
        Which model.
    seed : int
        Of initial weights and of batches.
    recipe : mapping
        Optimiser, learning rate, schedule, steps and batch.

    Returns
    -------
    W : ndarray, shape (runs, 5, n)
        Weights.
    b : ndarray, shape (runs, n)
        Biases.
    """
    runs, samples, n = data.shape
    theta = np.zeros(runs * (M + 1) * n, np.float32)
    W, b = theta[: runs * M * n].reshape(runs, M, n), theta[runs * M * n :].reshape(runs, n)
    W[:] = first_weights(runs, seed)
    importance = np.broadcast_to(IMPORTANCE.astype(np.float32), (runs, n))
    rng = np.random.default_rng([seed, 2])
    optimiser = make_optimiser(recipe["optimiser"], theta.size, theta.dtype)
    slope, batch = np.empty_like(theta), recipe["batch"]
    for rate in learning_rates(recipe["schedule"], recipe["learning_rate"], recipe["steps"]).tolist():
        x = data if samples <= batch else data[:, rng.integers(0, samples, batch)]
        _, gradient = loss_and_gradient(Parameters(W, b), x, importance, model)
        slope[: W.size], slope[W.size :] = gradient.W.ravel(), gradient.b.ravel()
        optimiser.step(theta, slope, rate)
    return W.astype(float), b.astype(float)


def empirical_loss(W: ndarray, b: ndarray, data: ndarray, model: str) -> ndarray:
    """
    Give the mean loss over given samples, for each of several models.

    Parameters
    ----------
    W : ndarray, shape (runs, m, n)
        Weights.
    b : ndarray, shape (runs, n)
        Biases.
    data : ndarray, shape (runs, samples, n) or (samples, n)
        Samples of each model, or the same for all.
    model : {"linear", "relu", "relu_hidden"}
        Which model.

    Returns
    -------
    ndarray, shape (runs,)
        Mean of sum_i I_i (x_i - x'_i)^2.
    """
    importance = IMPORTANCE[None]
    losses = []
    for k, (w, c) in enumerate(zip(W, b, strict=True)):
        x = data[k : k + 1] if data.ndim == 3 else data[None]
        losses.append(loss_and_gradient(Parameters(w[None], c[None]), x.astype(float), importance, model)[0][0])
    return np.array(losses)


def _true_loss(W: ndarray, b: ndarray, sparsity: float, model: str, held_out: ndarray) -> ndarray:
    """The exact population loss; of the model with a hidden ReLU its mean over held-out samples."""
    if model == "relu_hidden":
        return empirical_loss(W, b, held_out, model)
    problem = Problem(n=N, m=M, density=1 - sparsity, importance=IMPORTANCE)
    return np.asarray(population_loss(W, b, problem, "linear" if model == "linear" else "relu", rtol=1e-4))


def run_all(settings: Settings) -> xr.Dataset:
    """Every model at every sparsity and size, by this figure's recipe and by the paper's (variables ``paper_...``)."""
    shorter = {"steps": _QUICK_STEPS} if settings.quick else {}
    own, paper = ({**recipe, **shorter} for recipe in (RECIPE, PAPER_RECIPE))
    by_paper = _by_recipe(paper, settings)
    data = _by_recipe(own, settings).assign({f"paper_{name}": values for name, values in by_paper.items()})
    return data.assign_attrs(own | {"held_out": _HELD_OUT})


def _by_recipe(recipe: Mapping[str, Any], settings: Settings) -> xr.Dataset:
    """Weights, loss on the data set, and loss on everything."""
    sizes, runs = (_QUICK_SIZES, 2) if settings.quick else (_SIZES, 4)
    columns = (*sizes, FRESH)
    shape = (len(MODELS), len(SPARSITIES), len(columns), runs)
    W, b = np.zeros((*shape, M, N)), np.zeros((*shape, N))
    seen, true = np.zeros(shape), np.zeros(shape)
    for k, sparsity in enumerate(progress(SPARSITIES, label="sparsities")):
        held_out = make_data(_HELD_OUT, sparsity, 1, settings.seed + 1)[0]
        problem = Problem(n=N, m=M, density=1 - sparsity, importance=IMPORTANCE)
        for i, model in enumerate(MODELS):
            for j, samples in enumerate(columns):
                here = i, k, j
                if samples == FRESH:
                    start = first_weights(runs, settings.seed)
                    learned = trained(problem, runs, settings, init=start, model=model, progress=False, **recipe)
                    W[here], b[here] = learned.W[0], learned.b[0]
                else:
                    data = make_data(samples, sparsity, runs, settings.seed)
                    W[here], b[here] = learn(data, model, settings.seed, recipe)
                    seen[here] = empirical_loss(W[here], b[here], data, model)
                true[here] = _true_loss(W[here], b[here], sparsity, model, held_out)
                if samples == FRESH:
                    seen[here] = true[here]
    dims = ("model", "sparsity", "samples", "run")
    return xr.Dataset(
        {
            "W": ((*dims, "dimension", "feature"), W),
            "b": ((*dims, "feature"), b),
            "seen_loss": (dims, seen),
            "true_loss": (dims, true),
        },
        coords={"model": list(MODELS), "sparsity": list(SPARSITIES), "samples": list(columns)},
    )
