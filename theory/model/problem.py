"""The problem a toy model is asked to solve: how many features, how many dimensions, how often, how important."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.model.activations import RELU, Activation, activation_of
from theory.model.features import FeatureDistribution, Independent, density_array
from theory.model.terms import PLAIN, Terms
from theory.model.values import UNIFORM, ValueLike
from theory.tools.arrays import detached
from theory.tools.locking import Locked, locked

__all__ = ["Problem"]


# Entries of W whose couplings' squares, and biases of that square, are numbers in double precision.
_LARGEST = 1e70


def _count(name: str, value: object) -> int:
    """Check a number of features or dimensions."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return int(value)


@dataclass(frozen=True, eq=False, init=False)
class Problem(Locked):
    """
    A toy model's task: store n features in m dimensions, weighted by importance.

    Parameters
    ----------
    n : int, optional
        Number of features, >= 1; read off ``density``, ``importance`` or ``features`` where one of them tells.
    m : int
        Number of hidden dimensions, >= 1.
    density : array_like, shape () or (n,) or (*batch, n)
        Probability p_j = 1 - S_j that feature j is active, in (0, 1]. Leading axes make a batch of problems.
    importance : array_like, shape () or (n,) or (*batch, n)
        Weight I_j of feature j in the loss, >= 0.
    features : FeatureDistribution, optional
        Given instead of ``density``: correlated or anticorrelated sets, or independent features.
    values : ValueLaw, str or frozen distribution of scipy.stats
        Law of an active feature's value beside ``density``; U[0, 1] by default.
    activation : Activation or {"relu", "linear"}
        What the model does to W^T W x + b.
    terms : Terms
        Decoder, given bias, unit norms, noise and penalties, if there are any.

    Attributes
    ----------
    n, m : int
        Number of features and of hidden dimensions.
    features : FeatureDistribution
        How the features are distributed.
    importance : ndarray, shape (*batch, n)
        Weight of each feature.
    activation : Activation
        The output activation.
    terms : Terms
        What it asks besides reconstruction.
    batch_shape : tuple of int
        () for a single problem.

    Raises
    ------
    ValueError
        If a number is out of its range or the shapes do not fit; the message names the likely slip.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> problem = Problem(n=5, m=2, density=0.05)
    >>> problem.importance
    array([1., 1., 1., 1., 1.])
    """

    m: int
    features: FeatureDistribution
    importance: Float[ndarray, "*batch n"]
    activation: Activation
    terms: Terms

    def __init__(
        self,
        n: int | None = None,
        m: int | None = None,
        density: ArrayLike | None = None,
        importance: ArrayLike = 1.0,
        features: FeatureDistribution | None = None,
        values: ValueLike | None = None,
        activation: Activation | str = RELU,
        terms: Terms = PLAIN,
    ) -> None:
        if m is None:
            raise TypeError("Problem needs m, the number of hidden dimensions")
        if (density is None) == (features is None):
            raise TypeError("give either density (independent features) or features, not both or neither")
        if features is not None and values is not None:
            raise TypeError(
                "features have values of their own: give the law to them, such as Correlated(sets, p, values)"
            )
        weight = _importance_array(importance)
        if density is not None:
            features = Independent(_per_feature(density, n, weight), values="uniform" if values is None else values)
        elif not isinstance(features, FeatureDistribution):
            raise TypeError(f"features must be a feature distribution such as Correlated(...), got {features!r}")
        if n is not None and _count("n", n) != features.n:
            raise ValueError(f"n = {n}, but the features are {features.n} in number")
        if weight.ndim and weight.shape[-1] != features.n:
            raise ValueError(
                f"importance must be a scalar or have shape ({features.n},), one number per feature, "
                f"got shape {weight.shape}"
            )
        try:
            batch = np.broadcast_shapes(features.batch_shape, weight.shape[:-1])
        except ValueError:
            raise ValueError(
                f"the batch of densities {features.batch_shape} and the batch of importances "
                f"{weight.shape[:-1]} do not broadcast"
            ) from None
        object.__setattr__(self, "m", _count("m", m))
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "importance", locked(np.broadcast_to(weight, (*batch, features.n))))
        object.__setattr__(self, "activation", activation_of(activation))
        if not isinstance(terms, Terms):
            raise TypeError(f"terms must be given as Terms(...), such as Terms(noise=0.1), got {terms!r}")
        terms.bias_of(features.n)
        object.__setattr__(self, "terms", terms)

    @property
    def n(self) -> int:
        """Number of features."""
        return self.features.n

    @property
    def density(self) -> Float[ndarray, "*batch n"]:
        """Probability that each feature is active, shape (n,) or (*batch, n)."""
        return self.features.feature_density

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the batch of problems; () for a single one."""
        return self.importance.shape[:-1]

    def with_density(self, density: ArrayLike) -> "Problem":
        """
        Return the same problem at another density.

        Parameters
        ----------
        density : array_like, shape () or (n_sets,) or (*batch, n_sets)
            New density of the features, or of the sets where they come in sets, in (0, 1].

        Returns
        -------
        Problem
            A new problem; this one is left as it is.
        """
        return replace(self, features=self.features.with_density(density))

    def with_importance(self, importance: ArrayLike) -> "Problem":
        """
        Return the same problem with other importances.

        Parameters
        ----------
        importance : array_like, shape () or (n,) or (*batch, n)
            New weights, >= 0.

        Returns
        -------
        Problem
            A new problem; this one is left as it is.
        """
        return replace(self, importance=_importance_array(importance))

    def take(self, which: Int[ndarray, " k"]) -> "Problem":
        """
        Select problems from a batch.

        Parameters
        ----------
        which : ndarray of int, shape (k,)
            Numbers of the problems in a batch with one axis; repetitions allowed.

        Returns
        -------
        Problem
            A batch of k problems.
        """
        features = self.features
        if features.batch_shape:
            features = features.with_density(features.density[which])
        return replace(self, features=features, importance=self.importance[which])

    def repeated(self, count: int) -> "Problem":
        """
        Repeat every problem of a batch, or a single one.

        Parameters
        ----------
        count : int
            How often.

        Returns
        -------
        Problem
            A batch with one axis; repetitions of the same problem are neighbours.
        """
        flat = replace(
            self,
            features=self.features.reshaped(self.batch_shape or (1,)),
            importance=self.importance.reshape(-1, self.n),
        )
        return flat.take(np.repeat(np.arange(len(flat.importance)), count))

    def with_terms(self, **terms: Any) -> "Problem":
        """
        Return the same problem with other terms.

        Parameters
        ----------
        **terms
            Those that change, such as ``noise=0.1``; see ``Terms``.

        Returns
        -------
        Problem
            A new problem; this one is left as it is.
        """
        return replace(self, terms=replace(self.terms, **terms))

    def plain(self, caller: str, *honoured: str) -> None:
        """
        Refuse terms, for those who do not know them.

        Parameters
        ----------
        caller : str
            Who does not know them, for the message.
        *honoured : str
            Names of the terms that it does know.

        Raises
        ------
        ValueError
            If the problem has others.
        """
        self.terms.refuse(caller, honoured)

    def single(self, caller: str) -> None:
        """
        Refuse a batch, for those who take one problem at a time.

        Parameters
        ----------
        caller : str
            Who takes a single problem, for the message.

        Raises
        ------
        ValueError
            If this is a batch of problems.
        """
        if self.batch_shape:
            raise ValueError(f"{caller} takes a single problem, got a batch of shape {self.batch_shape}")

    @property
    def zero_loss(self) -> Float[ndarray, "*batch"] | float:
        """Loss of the zero model, sum_i I_i E x_i^2: the unit for gradients and curvatures; positive."""
        size = (self.importance * self.features.value_square * self.density).sum(-1)
        floored = np.maximum(size, np.finfo(float).tiny)
        return floored if self.batch_shape else float(floored)

    @property
    def exchangeable(self) -> Int[ndarray, " n"]:
        """Kinds of features of a single problem: equal numbers are alike, and in no set with others; shape (n,)."""
        owner = self.features.set_of_feature
        alone = np.bincount(owner)[owner] == 1
        own = np.where(alone, -1, np.arange(self.n))
        kinds = np.stack([self.density, self.importance, own], axis=1)
        return np.unique(kinds, axis=0, return_inverse=True)[1].reshape(-1)

    @property
    def key(self) -> Hashable:
        """Equal for problems that are the same in everything that a loss depends on."""
        law = self.features
        arrays = (law.density.tobytes(), self.importance.tobytes())
        return law.density.shape, self.m, *arrays, law.sets, law.laws, law.values, self.activation, self.terms

    @property
    def textbook(self) -> bool:
        """Whether closed forms for independent features, uniform on [0, 1], the ReLU and tied weights apply."""
        usual = self.features.independent and self.features.values == UNIFORM and self.activation == RELU
        return usual and self.terms.plain

    def checked(
        self, W: ArrayLike, b: ArrayLike, terms: bool = False
    ) -> tuple[Float[ndarray, "*b m n"], Float[ndarray, "*b n"]]:
        """
        Refuse parameters that do not fit the problem; broadcast their batches together.

        Parameters
        ----------
        W : array_like, shape (m, n) or (*batch, m, n)
            Embedding.
        b : array_like, shape (n,) or (*batch, n)
            Output bias.
        terms : bool
            Whether the caller knows the problem's terms; they are refused if not.

        Returns
        -------
        W, b : ndarray
            Float64, with a common batch shape that includes the problem's.

        Raises
        ------
        TypeError
            If an array is not numeric.
        ValueError
            If shapes do not fit, an entry is not finite, or the problem has terms that the caller does not know.
        """
        if not terms:
            self.plain("this function")
        W_, b_ = _numbers("W", W), _numbers("b", b)
        if W_.ndim < 2 or W_.shape[-2:] != (self.m, self.n):
            slip = "; did you pass W transposed?" if W_.shape[-2:] == (self.n, self.m) else ""
            raise ValueError(f"W must have shape (m, n) = {(self.m, self.n)}, got {W_.shape}{slip}")
        if b_.ndim < 1 or b_.shape[-1] != self.n:
            raise ValueError(f"b must have shape (n,) = {(self.n,)}, got {b_.shape}")
        if not (np.isfinite(W_).all() and np.isfinite(b_).all()):
            raise ValueError("W and b must be finite, got NaN or infinity")
        largest = max(float(np.abs(W_).max(initial=0)), float(np.sqrt(np.abs(b_).max(initial=0))))
        if largest > _LARGEST:
            raise ValueError(
                "W and b are too large for double precision: "
                f"couplings W^T W of about {largest:.1e} squared; rescale them"
            )
        try:
            batch = np.broadcast_shapes(W_.shape[:-2], b_.shape[:-1], self.batch_shape)
        except ValueError:
            raise ValueError(
                f"the batches of W {W_.shape[:-2]}, b {b_.shape[:-1]} and the problem {self.batch_shape} "
                "do not broadcast"
            ) from None
        return np.broadcast_to(W_, (*batch, *W_.shape[-2:])), np.broadcast_to(b_, (*batch, self.n))


def _numbers(name: str, array: ArrayLike) -> Float[ndarray, "..."]:
    """Bring W or b to real numbers; a mask or an imaginary part would get lost silently."""
    array = detached(array)
    if np.ma.isMaskedArray(array) or np.iscomplexobj(array):
        kind = "masked" if np.ma.isMaskedArray(array) else "complex"
        raise TypeError(f"{name} must be an array of real numbers, got a {kind} one")
    try:
        return np.asarray(array, dtype=float)
    except (TypeError, ValueError):
        raise TypeError("W and b must be arrays of numbers") from None


def _importance_array(importance: ArrayLike) -> Float[ndarray, "..."]:
    try:
        weight = locked(importance)
    except (TypeError, ValueError):
        raise TypeError(f"importance must be a number or an array of numbers, got {importance!r}") from None
    wrong = ~(np.isfinite(weight) & (weight >= 0))
    if wrong.any():
        raise ValueError(f"importance must be finite and >= 0, got {float(weight[wrong].flat[0])!r}")
    return weight


def _per_feature(
    density: ArrayLike | Sequence[float], n: int | None, importance: Float[ndarray, "..."]
) -> Float[ndarray, "*batch n"]:
    """Broadcast the density to one number per feature, reading n off whichever argument tells it."""
    p = density_array(density)
    if n is not None:
        count = _count("n", n)
    elif p.ndim:
        count = p.shape[-1]
    elif importance.ndim:
        count = importance.shape[-1]
    else:
        raise TypeError("Problem needs n, the number of features: density and importance are scalars")
    if p.ndim and p.shape[-1] != count:
        raise ValueError(
            f"density must be a scalar or have shape ({count},), one number per feature, got shape {p.shape}"
        )
    return p if p.ndim else np.full(count, p)
