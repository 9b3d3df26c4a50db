"""Where batches run. The stages are the same on every engine."""
