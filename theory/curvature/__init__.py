"""Second derivatives of the loss, stability, and Newton's method."""
