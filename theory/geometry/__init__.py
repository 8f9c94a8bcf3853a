"""Polytopes, products of them, and how a learned embedding is recognised."""
