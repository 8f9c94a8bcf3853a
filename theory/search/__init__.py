"""Searches over all of (W, b): the global optimum, and tables that take many of them."""
