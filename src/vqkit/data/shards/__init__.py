"""Images in shards, tar files of samples or Parquet, on this machine or fetched as they are needed."""
