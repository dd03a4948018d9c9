"""Readers of upstream's formats; what they read is never believed."""
