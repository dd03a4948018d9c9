"""A repository as a whole, in a folder or a store."""
