"""Pixels, files and Arrow: `photographs` decodes what upstream published, `decoder` what is published here."""

from loaders.images.decoder import decode

__all__ = ["decode"]
