"""Accuracy of the population loss: an exact oracle, adversarial problems, and error / stated error over them."""
