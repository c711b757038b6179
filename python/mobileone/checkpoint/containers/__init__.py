"""Files as trees of arrays, read and written. Knows no network; runs no code of a file."""
