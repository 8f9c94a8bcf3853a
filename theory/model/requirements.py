"""What public functions ask of an argument before they work with it."""

from theory.model.problem import Problem

__all__ = ["require_problem"]


def require_problem(problem: object) -> None:
    """
    Refuse what is no problem, such as a density in its place.

    Parameters
    ----------
    problem : Problem
        What was given.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if not isinstance(problem, Problem):
        raise TypeError(f"problem must be a Problem such as theory.Problem(n=5, m=2, density=0.1), got {problem!r}")
