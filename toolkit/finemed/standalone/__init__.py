"""Stages as commands of their own, on any dataset."""
