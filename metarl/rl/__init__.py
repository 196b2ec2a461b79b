"""Pretraining by reinforcement learning, on Stable-Baselines3."""

from metarl.interop.quiet import silence_gym

silence_gym()
