"""Pretraining by reinforcement learning, on Stable-Baselines3."""
