"""Gradient descent on toy models of superposition: sampling, training, sweeps, and agreement with the theory."""
