"""From a finished run to a release: pools as Parquet files, checked, with a dataset card."""
