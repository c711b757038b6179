"""Training: a network's gradients come from the engine; recipes, loops and checkpoints are here."""
