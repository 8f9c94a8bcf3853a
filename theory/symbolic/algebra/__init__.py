"""SymPy's alphabet: symbols, formulas, intervals and regions."""
