"""ILSVRC 2012 as labs have it."""
