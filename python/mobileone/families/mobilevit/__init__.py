"""MobileViT (Mehta & Rastegari, ICLR 2022)."""
