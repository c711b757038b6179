"""Labelled images to learn from: arrays, folders, handwritten digits; batches of them by epoch."""
