"""Files to rows: CSV, JSON, Parquet, plain, gzipped or in an archive; their text and its encoding."""
