"""A plan carried out, up to the entry of each split."""
