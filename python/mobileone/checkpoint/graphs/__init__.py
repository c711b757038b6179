"""Graphs of other programs, ONNX files and exported PyTorch programs, as graphs of the engine."""
