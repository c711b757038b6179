"""Measurements that are published: run from the repository's root, not installed."""
