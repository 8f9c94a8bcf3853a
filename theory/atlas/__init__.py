"""Tables over many problems: criterion, products, irreducible optima."""
