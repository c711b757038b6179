"""What a torch.nn.Module computes, read off the calls that it makes: PyTorch is imported here."""
