"""How a hand is turned: a yaw about its approach axis, a tilt about its own y axis."""

from __future__ import annotations

import numpy as np

_DOWN = np.diag([1.0, -1.0, -1.0])  # the hand's axes in the world when it points straight down


def rotation_vector(yaw: np.ndarray, tilt: np.ndarray) -> np.ndarray:
    """Compose a yaw about the hand's approach axis with a tilt about its own y axis.

    Args:
        yaw: [rad], shape (N,).
        tilt: [rad], shape (N,); positive turns the fingertips away from the base.
    Returns:
        Axis times angle relative to a hand that points straight down, (N, 3).
    """
    yaw, tilt = yaw / 2, tilt / 2
    cy, sy, ct, st = np.cos(yaw), np.sin(yaw), np.cos(tilt), np.sin(tilt)
    axis = np.empty_like(yaw, shape=(len(yaw), 3))
    axis[:, 0], axis[:, 1], axis[:, 2] = -sy * st, cy * st, sy * ct
    norm = np.sqrt(np.add.reduce(axis * axis, axis=1))
    angle = 2.0 * np.arctan2(norm, cy * ct)
    return axis * (angle / np.maximum(norm, 1e-9))[:, None]


def rotation_matrix(yaw: np.ndarray, tilt: np.ndarray) -> np.ndarray:
    """The hand's axes in the world for a yaw and a tilt [rad], (N, 3, 3)."""
    cy, sy, ct, st = np.cos(yaw), np.sin(yaw), np.cos(tilt), np.sin(tilt)
    zero = np.zeros_like(cy)
    rows = [cy * ct, -sy, cy * st, sy * ct, cy, sy * st, -st, zero, ct]
    return _DOWN @ np.stack(rows, axis=1).reshape(-1, 3, 3)


def rotation_about(vector: np.ndarray) -> np.ndarray:
    """Rotation matrices of axis times angle [rad], (N, 3) -> (N, 3, 3), by Rodrigues."""
    angle = np.sqrt((vector * vector).sum(axis=1))[:, None, None]
    x, y, z = (vector / np.maximum(angle[:, :, 0], 1e-9)).T
    zero = np.zeros_like(x)
    rows = [zero, -z, y, z, zero, -x, -y, x, zero]
    cross = np.stack(rows, axis=1).reshape(-1, 3, 3)
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)


def hand_angles(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Yaw and tilt [rad] of a hand whose axes are given row by row, (N, 9) -> (N,), (N,)."""
    own = _DOWN @ matrix.reshape(-1, 3, 3)
    return np.arctan2(-own[:, 0, 1], own[:, 1, 1]), np.arctan2(-own[:, 2, 0], own[:, 2, 2])


def between_rotations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The rotation vector that turns frames a into b, in world axes, (N, 3, 3) -> (N, 3)."""
    x, y, z = (np.cross(a[:, :, k], b[:, :, k]) for k in range(3))
    return 0.5 * (x + y + z)  # small angles
