"""Networks that are a head on a backbone, which any classifier of the other families can be."""
