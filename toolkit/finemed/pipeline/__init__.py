"""The list of stages and what holds them together: reading, writing, resuming, accounting."""
