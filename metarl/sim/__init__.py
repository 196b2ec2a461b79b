"""Batched physics and pictures."""
