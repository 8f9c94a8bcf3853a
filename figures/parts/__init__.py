"""Measures and drawings of figure scripts that would be long with them."""
