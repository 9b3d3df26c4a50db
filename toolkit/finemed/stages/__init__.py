"""The pipeline's operations: pure functions over rows, without files or engine of their own."""
