"""A class for every pixel of a picture."""
