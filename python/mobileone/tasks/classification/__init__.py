"""From logits to named classes."""
