"""Bounds and known results on directions: Welch, Rankin, Thomson, recovery from projections."""
