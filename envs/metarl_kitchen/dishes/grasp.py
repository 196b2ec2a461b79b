"""How to take a piece of food, and where there is room to lay it: geometry for the cook."""

from __future__ import annotations

import numpy as np

from metarl.rewards import distance
from metarl_kitchen.dishes import counter

TURN_RAD = 1.45  # the hand turns no further
WIDE, NARROW = 0.8, 0.6  # openings with which the hand comes down on food
_HALF_TURN = np.pi
_PAD_M = (0.011, 0.006)  # half sizes of a finger
_OPEN_M = 0.04  # from the hand to each finger when open
_CORNER_M = float(np.hypot(*_PAD_M))


def wrapped(angle: np.ndarray) -> np.ndarray:
    """Angles of an axis without a head, into [-pi / 2, pi / 2) [rad]."""
    return (angle + _HALF_TURN / 2.0) % _HALF_TURN - _HALF_TURN / 2.0


def edge_rad(mat: np.ndarray) -> np.ndarray:
    """Where an edge of a box points that lies on some side of it, seen from above [rad], (N,).

    Args:
        mat: Rotation matrices, (N, 9).
    """
    stands = np.abs(mat[:, 6]) > 0.7  # the first axis is upright
    x, y = np.where(stands[:, None], mat[:, [1, 4]], mat[:, [0, 3]]).T
    return np.arctan2(y, x)


def grasp(
    food: np.ndarray, edge: np.ndarray, other: np.ndarray, pan: np.ndarray, yaw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Choose how both fingers fit beside a box: clear of the other food and of the pan.

    Args:
        food: Its place [m], (N, 2).
        edge: Where an edge of it points [rad], (N,).
        other: Place of the other food [m], (N, 2).
        pan: Place of the pan [m], (N, 2).
        yaw: Of the hand now [rad], (N,): what is nearer is preferred.
    Returns:
        Yaw [rad] and opening of the hand, (N,) each.
    """
    turns = wrapped(-edge[None] + np.array([[0.0], [_HALF_TURN / 2.0]]))  # (2, N)
    choices = [(turn, opening) for opening in (WIDE, NARROW) for turn in turns]
    room = np.array([_room(food, *choice, other, pan) for choice in choices])
    narrow = np.array([[0.003 * (opening == NARROW)] for _, opening in choices])
    far = np.abs(np.array([turn for turn, _ in choices]) - yaw)
    best = (np.minimum(room, 0.008) - 0.002 * far - narrow).argmax(axis=0)
    chosen = np.clip(
        np.concatenate([turns, turns])[best, np.arange(len(food))], -TURN_RAD, TURN_RAD
    )
    return chosen, np.where(best < 2, WIDE, NARROW)


def _room(
    food: np.ndarray, yaw: np.ndarray, opening: float, other: np.ndarray, pan: np.ndarray
) -> np.ndarray:
    """How much room the fingers have to the other food and to the pan's wall [m], (N,)."""
    across = (_OPEN_M * opening + _PAD_M[1]) * np.column_stack([np.sin(yaw), np.cos(yaw)])
    least = np.full(len(food), 1.0)
    inside = distance(food, pan) < counter.PAN_RADIUS_M
    for finger in (food + across, food - across):
        beside = distance(finger, other) - counter.FOOD_HALF_M - _CORNER_M
        wall = counter.WALL_M - _CORNER_M - distance(finger, pan)
        least = np.minimum(least, np.minimum(beside, np.where(inside, wall, 1.0)))
    return least


def free_side(middle: np.ndarray, other: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """The direction from the middle of pan or plate in which a piece has room, (N, 2).

    Args:
        middle: Of the pan or plate [m], (N, 2).
        other: Place of the other food [m], (N, 2).
        usual: The direction to take while the other food is elsewhere, (N, 2).
    """
    away = middle - other
    off = distance(middle, other)[:, None]
    taken = (off > 0.008) & (off < counter.PAN_RADIUS_M)
    return np.where(taken, away / np.maximum(off, 1e-6), usual)
