"""The manifest told to people."""
