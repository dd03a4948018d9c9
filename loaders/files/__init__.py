"""A path of this machine or a URL, alike, for reading."""
