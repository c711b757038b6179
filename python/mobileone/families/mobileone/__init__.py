"""MobileOne (Vasu et al., CVPR 2023)."""
