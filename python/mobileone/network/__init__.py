"""A network that runs: made, compiled, cached, stored."""
