"""Synthetic worlds: people who move and act on one another, made in memory from a seed."""
