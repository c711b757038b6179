"""How good networks are on data: evaluate, its results, presets."""
