"""The corruptions of ImageNet-C, made of any picture."""
