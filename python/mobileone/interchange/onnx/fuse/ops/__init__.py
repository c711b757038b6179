"""ONNX's operators as affine maps: a table of those that are, and how each is read."""
