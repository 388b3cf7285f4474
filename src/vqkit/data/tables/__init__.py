"""Tables as sources: Parquet, Arrow and Hugging Face data sets."""
