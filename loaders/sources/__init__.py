"""Upstream's files: which there are, and whether they are what they should be."""
