"""Pixels, files and Arrow, each made of the other."""

from loaders.images.decoder import decode

__all__ = ["decode"]
