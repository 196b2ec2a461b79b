"""Policies of parts: an encoder and a decoder for each robot, a core for each skill."""
