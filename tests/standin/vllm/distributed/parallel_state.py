"""What is called when an engine is closed."""

from __future__ import annotations


def cleanup_dist_env_and_memory() -> None:
    """There is nothing to clean up."""
