"""Worlds that mujoco-warp moves, behind the face of a `mujoco.batch.Batch`."""
