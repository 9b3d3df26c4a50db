"""Backends: sources of language behind one interface, and the journal-backed way to ask them."""
