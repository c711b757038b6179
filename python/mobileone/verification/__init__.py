"""Are two networks the same function? Derived bounds on rounding, and the comparison."""
