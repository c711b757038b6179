"""Key templates: names of tensors in one layout, and the same tensors under canonical names."""
