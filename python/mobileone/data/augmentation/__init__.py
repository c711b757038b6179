"""Random changes of training images, on Pillow: crops, flips, affine maps, AutoAugment's policy."""
