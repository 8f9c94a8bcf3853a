"""Search for irreducible optima without a name: the table that the catalogue cites as "7 in 3" and so on.

In the one-sparse limit the loss and its gradient are cheap, so that hundreds of random starts find the best
embedding of v features in d dimensions. Where it beats every product of named polytopes, and is none of them
itself, it becomes an entry: its directions, its orbits, and the deformations that keep its symmetry, so that
it can be optimised at any density. ``python -m theory.search.irreducible`` writes the table;
``theory/irreducible.json`` is what it wrote.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.linalg import null_space, orth
from scipy.optimize import minimize

from theory.geometry.polytopes import POLYTOPES, IrreducibleRecord
from theory.geometry.symmetries import automorphisms, orbits
from theory.loss.one_sparse import limit_loss_and_gradient
from theory.optimum.one_sparse import one_sparse_optimum
from theory.packing.knapsack import pack
from theory.tools.arguments import count, non_negative_count, writable_directory
from theory.tools.command import Parser, progress, run_command, tell
from theory.tools.storage import results_folder, write

__all__ = ["best_embedding", "find_irreducible", "make_record"]

# Cosines that differ by less are equal: the minimiser leaves them correct to about 1e-7.
_SAME = 1e-5
# An optimum must beat the best product of named polytopes by more than this to be worth an entry.
_GAIN = 1e-6
# Norm of the random columns that a search starts from; the optima's norms lie between 1.0 and 1.4.
_START_NORM = 1.25
_START_BIAS = -0.3


def best_embedding(
    v: int, d: int, starts: int, rng: np.random.Generator
) -> tuple[float, Float[ndarray, "d v"], Float[ndarray, " v"]]:
    """
    Search for the best embedding of v features in d dimensions in the one-sparse limit.

    Parameters
    ----------
    v : int
        Number of features.
    d : int
        Number of dimensions.
    starts : int
        Random starting points.
    rng : numpy.random.Generator
        Draws them.

    Returns
    -------
    loss : float
        Smallest loss found, the limit of L/p.
    W : ndarray, shape (d, v)
        Its embedding.
    b : ndarray, shape (v,)
        Its biases, not positive.
    """

    def function(x: Float[ndarray, " parameters"]) -> tuple[float, Float[ndarray, " parameters"]]:
        loss, dW, db = limit_loss_and_gradient(x[: d * v].reshape(d, v), x[d * v :])
        return loss, np.r_[dW.ravel(), db]

    options: Any = {"maxiter": 5000, "maxfun": 20_000, "ftol": 1e-16, "gtol": 1e-11}
    bounds = [(None, None)] * (d * v) + [(None, 0.0)] * v
    runs = []
    for _ in range(starts):
        W = rng.normal(size=(d, v))
        W *= _START_NORM / np.linalg.norm(W, axis=0)
        start = np.r_[W.ravel(), np.full(v, _START_BIAS)]
        runs.append(minimize(function, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options))
    best = min(runs, key=lambda run: float(run.fun))
    return float(best.fun), best.x[: d * v].reshape(d, v), best.x[d * v :]


def _deformations(
    U: Float[ndarray, "d v"], symmetries: Int[ndarray, "k v"], numbers: Sequence[int]
) -> list[Float[ndarray, "d v"]]:
    """
    Directions in which the vertices can move without losing a symmetry, scalings and rotations apart.

    A permutation s that leaves the Gram matrix as it is acts on the directions as a rotation, U[:, s] = R U.
    The symmetric embeddings are the solutions of W[:, s] = R W for all s.
    """
    d, v = U.shape
    inverse = np.linalg.pinv(U)
    equations = [np.kron(np.eye(d), np.eye(v)[s]) - np.kron(U[:, s] @ inverse, np.eye(v)) for s in symmetries]
    symmetric = null_space(np.vstack(equations), rcond=1e-4)  # columns: embeddings, flattened row by row
    scalings = [(U * (np.array(numbers) == k)).ravel() for k in range(max(numbers) + 1)]
    pairs = [(i, j) for i in range(d) for j in range(i)]
    rotations = [(np.outer(np.eye(d)[i], U[j]) - np.outer(np.eye(d)[j], U[i])).ravel() for i, j in pairs]
    # Of a rotation only the part that respects the symmetry can be told from a deformation.
    trivial = symmetric @ (symmetric.T @ np.array(scalings + rotations).T)
    basis = orth(trivial, rcond=1e-4)
    rest, size, _ = np.linalg.svd(symmetric - basis @ (basis.T @ symmetric))
    return [column.reshape(d, v) for column in rest.T[: int((size > 0.5).sum())]]  # sizes are 0 or 1


def make_record(W: Float[ndarray, "d v"]) -> IrreducibleRecord:
    """
    Describe an optimum as the table keeps it.

    Parameters
    ----------
    W : ndarray, shape (d, v)
        Embedding, converged to about 1e-7.

    Returns
    -------
    IrreducibleRecord
        Directions in their principal axes, orbits, and the deformations that keep the symmetry of W^T W.
    """
    axes = np.linalg.svd(W)[0]
    W = axes.T @ W
    symmetries = np.array(list(automorphisms(W.T @ W)))
    numbers = orbits(symmetries)
    order = np.argsort(numbers, kind="stable")  # vertices of an orbit next to each other
    W, numbers = W[:, order], sorted(numbers)
    symmetries = np.array(list(automorphisms(W.T @ W)))
    U = W / np.linalg.norm(W, axis=0)
    U = _averaged(U, symmetries)
    return {
        "directions": U.tolist(),
        "orbits": numbers,
        "deformations": [B.tolist() for B in _deformations(U, symmetries, numbers)],
    }


def _averaged(U: Float[ndarray, "d v"], symmetries: Int[ndarray, "k v"]) -> Float[ndarray, "d v"]:
    """Directions with exactly the symmetry that the search left with an error of about 1e-7."""
    G = U.T @ U
    mean = np.mean([G[np.ix_(s, s)] for s in symmetries], axis=0)
    values, vectors = np.linalg.eigh(mean)
    d = len(U)
    exact = (vectors[:, -d:] * np.sqrt(values[-d:])).T
    left, _, right = np.linalg.svd(U @ exact.T)
    exact = left @ right @ exact  # turned back to where U was
    return np.asarray(exact / np.linalg.norm(exact, axis=0))


def find_irreducible(v: int, d: int, starts: int, rng: np.random.Generator) -> IrreducibleRecord | None:
    """
    Search for an optimum of v features in d dimensions that is no product of named polytopes.

    Parameters
    ----------
    v : int
        Number of features.
    d : int
        Number of dimensions.
    starts : int
        Random starting points.
    rng : numpy.random.Generator
        Draws them.

    Returns
    -------
    IrreducibleRecord or None
        The entry; None if a product of named polytopes (unrepresented features included) is as good.
    """
    named = {name: p for name, p in POLYTOPES.items() if name != f"{p.v} in {p.d}"}
    losses = {name: one_sparse_optimum(name).loss for name, p in named.items() if p.v <= v and p.d <= d}
    product = sum(losses[name] * times for name, times in pack(v, d, losses).counts)
    loss, W, _ = best_embedding(v, d, starts, rng)
    return make_record(W) if loss < product - _GAIN else None


def main(argv: Sequence[str] | None = None) -> None:
    """
    Search all numbers of features and dimensions, and write the table.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.
    """
    parser = Parser(
        "Search for irreducible optima in the one-sparse limit; write irreducible.json",
        "python -m theory.search.irreducible",
    )
    parser.add_argument("--v-max", type=count, default=12, help="largest number of features")
    parser.add_argument("--d-max", type=count, default=4, help="largest number of dimensions")
    parser.add_argument("--starts", type=count, default=200, help="random starts for each")
    parser.add_argument("--seed", type=non_negative_count, default=0, help="seed of the random starts")
    parser.add_argument("--output", type=writable_directory, default=".", help="folder to write to")
    parser.add_overwrite()
    arguments = parser.parse_args(argv)
    name = "irreducible.json"
    with results_folder(arguments.output, [name], arguments.overwrite) as folder:
        rng = np.random.default_rng(arguments.seed)
        # Up to v = 2 d digons lose nothing; in one dimension there is nothing else.
        sizes = [(v, d) for d in range(2, arguments.d_max + 1) for v in range(2 * d + 1, arguments.v_max + 1)]
        found = [find_irreducible(v, d, arguments.starts, rng) for v, d in progress(sizes, label="searching")]
        table = [record for record in found if record is not None]
        write(folder / name, json.dumps(table) + "\n")
    for record in table:
        U = np.array(record["directions"])
        tell(
            f"{U.shape[1]} in {U.shape[0]}: {max(record['orbits']) + 1} orbits, "
            f"{len(record['deformations'])} free shape parameters"
        )


if __name__ == "__main__":
    run_command(main, "python -m theory.search.irreducible")
