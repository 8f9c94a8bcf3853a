"""The report of ``python -m theory.derive``, as text and as LaTeX."""
