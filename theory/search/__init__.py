"""The global optimum of a problem."""
