"""From batches of rows to Parquet shards, cards and a folder that `load_dataset` reads."""
