"""Where gradient descent starts: random weights per instance, or given ones."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from numerics.models import Parameters
from numerics.training.constraints import Held
from numerics.training.kernels import unstack
from numerics.training.settings import Settings
from theory.model.problem import Problem
from theory.tools.arrays import detached
from theory.tools.seeds import seed_number

__all__ = ["initial_parameters"]

_SMALL = 0.01
# How far given parameters may be from constraints: single precision.
_HELD = 1e-5


def initial_parameters(
    problem: Problem, settings: Settings, init: str | ArrayLike | Sequence[ArrayLike]
) -> Float[ndarray, "runs rows n"]:
    """
    Stack the initial parameters of every run; those of a run do not depend on how many others there are.

    Parameters
    ----------
    problem : Problem
        One problem or a batch of them.
    settings : Settings
        How many instances, which model, which seed.
    init : {"xavier", "small"} or array_like or tuple of array_like
        As ``numerics.train`` takes it.

    Returns
    -------
    ndarray, shape (runs, rows, n)
        Parameters stacked as in ``numerics.training.kernels``; the instances of a problem are neighbours.

    Raises
    ------
    ValueError
        If the rule is unknown or given parameters do not fit.
    """
    n, m = problem.n, problem.m
    problems = max(1, int(np.prod(problem.batch_shape)))
    tied = settings.kind.tied
    theta = np.zeros((problems, settings.instances, (m if tied else 2 * m) + 1, n))
    weights = theta[..., :-1, :]
    if isinstance(init, str):
        deviation = {"xavier": np.sqrt(2 / (n + m)), "small": _SMALL}
        if init not in deviation:
            raise ValueError(f"init must be 'xavier', 'small' or an array of weights, got {init!r}")
        rng = np.random.default_rng(np.random.SeedSequence(seed_number(settings.seed), spawn_key=(0,)))
        weights[...] = deviation[init] * rng.standard_normal(weights.shape)
    else:
        bias = problem.terms.bias_of(n)
        start = np.zeros(n) if bias is None else bias
        given = (
            Parameters(*map(detached, init))
            if isinstance(init, tuple)
            else Parameters(np.asarray(detached(init)), start)
        )
        if (given.W_out is None) != tied:
            raise ValueError(
                f"init must give {'W or (W, b)' if tied else '(W, b, W_out)'}; model is {settings.kind.name!r}"
            )
        for name, part, view in zip(given._fields, given, unstack(theta, m, tied), strict=True):
            if view is not None:
                view[...] = _fitted(name, part, view.shape)
    given_theta, held = theta.copy(), Held(problem.terms, m, n)
    held.hold(theta)
    if not isinstance(init, str) and np.abs(theta - given_theta).max() > _HELD:
        raise ValueError(f"init does not keep the problem's {problem.terms!r}: its bias, or columns of length 1")
    return theta.reshape(-1, *theta.shape[2:])


def _fitted(name: str, given: object, shape: tuple[int, ...]) -> ndarray:
    """Broadcast given parameters to (problems, instances, ...), refusing what does not fit."""
    array = np.asarray(given, float)
    own = shape[2:]
    if array.shape[-len(own) :] != own:
        raise ValueError(f"init gives {name} of shape {array.shape}, but one model's is {own}")
    try:
        fitted = np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(
            f"init gives {name} of shape {array.shape}; its leading axes must fit (problems, instances) = {shape[:2]}"
        ) from None
    if not np.isfinite(fitted).all():
        raise ValueError(f"init gives {name} with values that are not finite")
    return fitted
