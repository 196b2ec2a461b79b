"""From motions of a hand to motions of an arm's joints."""

from __future__ import annotations

import numpy as np

DAMPING = 4e-3  # keeps joints slow near singular postures
PLACE, TURN = 1.0, 0.2  # what an error of the hand counts, per metre and per radian
HOMING = 0.1  # share of the way home that joints go which the hand does not need
ROUNDS = 3  # joints that reach a limit are held there, and the others asked again


def joint_motion(
    jacobian: np.ndarray,
    motion: np.ndarray,
    joints: np.ndarray,
    home: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> np.ndarray:
    """Solve for the joints' motion that moves the hand as wanted, by damped least squares.

    Where joints are at a limit, the hand's place wins over how it is turned. An arm of more than
    six joints uses what is left to go home.

    Args:
        jacobian: How the hand moves and turns with each joint, (N, 6, J).
        motion: Wanted of the hand, [m] and [rad] in world axes, (N, 6).
        joints: Where the joints are [rad or m], (N, J).
        home: Where they are at home, (J,).
        low: Their lower limits, (J,).
        high: Their upper limits, (J,).
    Returns:
        Motions of the joints [rad or m], (N, J), within the limits.
    """
    spare = np.zeros_like(joints)
    if joints.shape[1] > motion.shape[1]:
        spare = HOMING * (home - joints)
        leak = np.linalg.pinv(jacobian) @ (jacobian @ spare[:, :, None])
        spare -= leak[:, :, 0]  # what would move the hand
    free = np.ones_like(joints)
    weight = np.array([PLACE] * 3 + [TURN] * 3)[:, None]
    for _ in range(ROUNDS):
        # limited joints go to their limit; the others do what is then left
        own = weight * jacobian * free[:, None, :]
        rest = weight * (motion[:, :, None] - jacobian @ spare[:, :, None])
        gram = own @ own.transpose(0, 2, 1) + DAMPING * np.eye(6)
        delta = spare + (own.transpose(0, 2, 1) @ np.linalg.solve(gram, rest))[:, :, 0]
        beyond = (joints + delta < low) | (joints + delta > high)
        free = np.where(beyond, 0.0, free)
        spare = np.where(free > 0.0, spare, np.clip(delta, low - joints, high - joints))
    return np.clip(delta, low - joints, high - joints)
