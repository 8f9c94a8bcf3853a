"""How many directions fit: bounds on frames, almost orthogonal directions, Thomson's problem, recovery."""
