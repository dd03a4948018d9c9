"""What every dataset is made of: configs, splits and their shards, the forms it is taken in, jobs, batches of rows."""
