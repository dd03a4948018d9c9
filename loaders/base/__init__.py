"""What every dataset is made of."""
