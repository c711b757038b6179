"""From a network's outputs to results, one folder per task."""
