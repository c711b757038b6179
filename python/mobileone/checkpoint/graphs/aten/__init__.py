"""PyTorch's operators as ONNX's: what an exported program calls."""
