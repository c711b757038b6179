"""The machine: how many threads to use and why, and what a number was measured on."""
