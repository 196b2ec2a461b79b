"""Pretraining by reinforcement learning, on Stable-Baselines3."""

from metarl.ambient import silence_gym

silence_gym()
