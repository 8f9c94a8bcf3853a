"""The idealised candidates of a phase diagram: what can become of an extra feature when space is short.

Of n features the last one, the extra feature, has an importance of its own; the n - 1 others are equal.
Idealised means what the literature plots: a dimension holds one feature ("dedicated") or two opposite ones
("antipodal"), a represented feature has norm 1 and bias 0, a feature that is not represented has norm 0 and
its mean as bias. A candidate that left a dimension empty would be worse than one that fills it, so all m
dimensions are in use: two candidates differ only in the number of pairs and in the extra feature's fate.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.geometry.metrics import feature_norms, superposition
from theory.model.features import Independent, density_array
from theory.model.problem import Problem
from theory.model.values import ValueLike
from theory.tools.locking import Locked, locked

__all__ = ["CELL_PHASES", "PHASES", "UNDETERMINED", "Candidate", "Phase", "ideal_candidates", "phase_of"]

# A norm, or an overlap with the other features' embeddings, below this counts as none. Where the optimum is exactly
# zero the search leaves about 1e-6; where a feature fades in continuously this sets where it counts as there.
_NEGLIGIBLE = 0.01

Phase = Literal["not represented", "dedicated", "superposition"]
PHASES: tuple[Phase, ...] = get_args(Phase)
# What a cell of a diagram can be: its optimum has one of the phases, or several solutions have no loss at all.
CELL_PHASES: tuple[str, ...] = (*PHASES, "not determined: loss zero")
UNDETERMINED = len(PHASES)


@dataclass(frozen=True, eq=False)
class Candidate(Locked):
    """
    One idealised way to store n features in m dimensions.

    Parameters
    ----------
    name : str
        What happens to the extra feature, and to the others where that needs saying.
    phase : {"not represented", "dedicated", "superposition"}
        Phase of the extra feature, which is the last one.
    embedding : ndarray, shape (m, n)
        W; every column has norm 1 (represented) or 0.

    Examples
    --------
    >>> pair = ideal_candidates(n=2, m=1)["antipodal"]
    >>> pair.embedding
    array([[ 1., -1.]])
    >>> pair.bias(0.3)
    array([0., 0.])
    """

    name: str
    phase: Phase
    embedding: Float[ndarray, "m n"]

    @property
    def represented(self) -> ndarray:
        """Whether each feature has a direction, shape (n,), bool."""
        return np.asarray(self.embedding.any(axis=0))

    def bias(self, density: ArrayLike, values: ValueLike = "uniform") -> Float[ndarray, "*batch n"]:
        """
        Give the idealised bias: 0 for a represented feature, E x_i for the rest.

        Parameters
        ----------
        density : array_like, shape () or (*batch, n)
            Probability p_j = 1 - S_j that feature j is active, in (0, 1]; a scalar holds for every feature.
        values : ValueLaw, str or frozen distribution of scipy.stats
            Law of an active feature's value: U[0, 1], or the constant 1.

        Returns
        -------
        ndarray, shape (*batch, n)
            The biases b.

        Raises
        ------
        ValueError
            If the density lies outside (0, 1] or does not have one number per feature.
        """
        n = self.embedding.shape[1]
        p = density_array(density)
        if p.ndim and p.shape[-1] != n:
            raise ValueError(
                f"density must be a scalar or have shape ({n},), one number per feature, got shape {p.shape}"
            )
        mean = Independent(p if p.ndim else np.full(n, p), values=values).mean
        return np.where(self.represented, 0.0, mean)


def ideal_candidates(n: int, m: int) -> dict[str, Candidate]:
    """
    List the idealised candidates for n features in m dimensions.

    Candidates that differ by a permutation of the n - 1 equal other features are listed once.

    Parameters
    ----------
    n : int
        Number of features, >= 1; the last one is the extra feature.
    m : int
        Number of hidden dimensions, 1 <= m <= n.

    Returns
    -------
    dict of str to Candidate
        By name, in the order of the extra feature's phase: not represented, dedicated, superposition.

    Raises
    ------
    TypeError
        If n or m is not a whole number.
    ValueError
        If n or m is below 1, or m exceeds n.

    Notes
    -----
    With a antipodal pairs m + a features are represented. The phases therefore need

    - not represented: m + a <= n - 1;
    - dedicated: m + a <= n and a dimension without a pair, a <= m - 1;
    - superposition: m + a <= n and 1 <= a <= m.

    References
    ----------
    Elhage et al. 2022, "Toy Models of Superposition", section "Superposition as a Phase Change".

    Examples
    --------
    >>> list(ideal_candidates(n=3, m=2))
    ['not represented', 'dedicated', 'dedicated, others antipodal', 'antipodal']
    """
    Problem(n=n, m=m, density=1.0)  # refuses what is no number of features or dimensions
    if m > n:
        raise ValueError(f"m must not exceed n: {m} dimensions hold {n} features without a choice to make")
    candidates = [
        *(_candidate(n, m, "not represented", pairs) for pairs in range(min(m, n - 1 - m) + 1)),
        *(_candidate(n, m, "dedicated", pairs) for pairs in range(min(m - 1, n - m) + 1)),
        *(_candidate(n, m, "superposition", pairs) for pairs in range(1, min(m, n - m) + 1)),
    ]
    return {candidate.name: candidate for candidate in candidates}


def _candidate(n: int, m: int, phase: Phase, pairs: int) -> Candidate:
    """
    Lay the features out: pairs of others, single others, then the extra feature on the last dimension.

    Others that are left over stay unrepresented, between the represented ones and the extra feature.
    """
    W = np.zeros((m, n))
    other_pairs = pairs - (phase == "superposition")
    for k in range(other_pairs):
        W[k, 2 * k] = 1.0
        W[k, 2 * k + 1] = -1.0
    singles = m if phase == "not represented" else m - 1
    for k in range(other_pairs, singles):
        W[k, other_pairs + k] = 1.0
    if phase == "dedicated":
        W[-1, -1] = 1.0
    elif phase == "superposition":
        W[-1, other_pairs + m - 1] = 1.0
        W[-1, -1] = -1.0
    remaining = n - 2 if phase == "superposition" else n - 1
    return Candidate(_name(phase, other_pairs, remaining), phase, locked(W))


def _name(phase: Phase, other_pairs: int, remaining: int) -> str:
    """Name the extra feature's fate, then how many of the remaining features form antipodal pairs."""
    fate = "antipodal" if phase == "superposition" else phase
    if other_pairs == 0:
        return fate
    who = "others" if 2 * other_pairs == remaining else f"{2 * other_pairs} others"
    return f"{fate}, {who} antipodal"


def phase_of(W: Float[ndarray, "*batch m n"]) -> Int[ndarray, "*batch"]:
    """
    Say what became of the last feature.

    Parameters
    ----------
    W : ndarray, shape (*batch, m, n)
        Embeddings.

    Returns
    -------
    ndarray of int, shape (*batch,)
        Index into ``PHASES``: 0 not represented, 1 dedicated (orthogonal to all others), 2 in superposition.

    Examples
    --------
    >>> int(phase_of(np.array([[1.0, -1.0]])))
    2
    """
    norm = feature_norms(W)[..., -1]
    overlap = np.sqrt(superposition(W)[..., -1])
    return np.where(norm < _NEGLIGIBLE, 0, np.where(overlap < _NEGLIGIBLE, 1, 2))
