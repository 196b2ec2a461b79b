"""Cooking task families on a seven-joint arm."""
