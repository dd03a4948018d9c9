"""The manifest told to people: the measured parts of `cards/X.md`."""
