"""Per-world random streams: row i's numbers depend on its own key alone.

A counter-based generator (SplitMix64) over arrays of keys: no loop over worlds, and
the whole state is two integers a world, so it is saved and restored with a run.
"""

from __future__ import annotations

import operator
import reprlib

import numpy as np

from metarl.errors import ConfigError, ShapeError

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_TO_UNIT = 2.0**-53
# Below it seeds are training's own, from it on those of held-out tasks; a seed that is used on the
# other side gets streams of its own, so that the two sides never share one.
FIRST_HELD_OUT_SEED = 1000
_OTHER_SIDE = (1,)  # spawn key of such streams


def _mix(z: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014, fig. 17); wraps modulo 2**64."""
    z = (z ^ (z >> np.uint64(30))) * _MIX1
    z = (z ^ (z >> np.uint64(27))) * _MIX2
    return z ^ (z >> np.uint64(31))


def checked_seed(seed: object) -> int:
    """Read a seed: any integer that is not negative, however large.

    Raises:
        ConfigError: If it is anything else.
    """
    try:
        value = -1 if isinstance(seed, (bool, np.bool_)) else operator.index(seed)  # type: ignore[arg-type]
    except TypeError:
        value = -1
    if value < 0:
        raise ConfigError(f"seed is {seed!r}; expected a non-negative integer")
    return value


def fresh_seed() -> int:
    """A seed that nobody has had, from the operating system's entropy."""
    return int(np.random.SeedSequence().entropy)  # type: ignore[arg-type]


def seed_of_noise(seed: int, noise: int) -> int:
    """Seed of an arm that differs from another one in its noise alone.

    Args:
        seed: Of both.
        noise: Which noise, >= 0; 0: the seed itself.
    """
    if not noise:
        return seed
    return int(np.random.SeedSequence([seed, noise]).generate_state(1)[0])


def _count(size: int | None, positional: tuple[object, ...], call: str) -> int:
    if positional:
        raise ShapeError(
            f"{call} takes no size without its name, got {reprlib.repr(positional[-1])}: each row"
            f" draws by itself, so {call} gives (n,) numbers, and size=k gives (n, k)"
        )
    if size is not None and not (isinstance(size, int | np.integer) and size >= 0):
        raise ShapeError(f"size is {size!r}; expected how many numbers each stream draws, or None")
    return int(size or 1)


class Streams:
    """One random stream per row.

    Unlike NumPy's generators it knows how many rows there are: ``uniform(low, high)`` gives a
    number a row, shape (n,). What NumPy's habit adds, ``uniform(low, high, n)``, is refused.

    Args:
        keys: The streams' keys, shape (n,), uint64.
        counters: How many numbers each has drawn, shape (n,), uint64; zeros if omitted.
    Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators".
    """

    def __init__(self, keys: np.ndarray, counters: np.ndarray | None = None):
        self.keys = np.asarray(keys, np.uint64)
        self.counters = (
            np.zeros_like(self.keys) if counters is None else np.asarray(counters, np.uint64)
        )
        if self.keys.ndim != 1 or self.counters.shape != self.keys.shape:
            raise ShapeError(
                f"streams need keys and counters of one shape (n,), got {self.keys.shape}"
                f" and {self.counters.shape}"
            )

    @classmethod
    def from_seed(cls, seed: int, n: int, start: int = 0, *, held_out: bool = False) -> Streams:
        """Make n streams from one seed; stream i does not depend on n.

        Args:
            seed: Any non-negative integer.
            n: How many streams.
            start: The index of the first one.
            held_out: For tasks that are held out to judge: whatever the seeds, these streams are
                none that is made without it.
        Raises:
            ConfigError: If the seed is negative or no integer.
        """
        seed = checked_seed(seed)
        own_side = (seed >= FIRST_HELD_OUT_SEED) == held_out
        sequence = np.random.SeedSequence(seed, spawn_key=() if own_side else _OTHER_SIDE)
        root = sequence.generate_state(1, np.uint64)[0]
        index = np.arange(start, start + n, dtype=np.uint64)
        return cls(_mix(_mix(index * _GOLDEN + root) + root))

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, ids: np.ndarray) -> Streams:
        """The streams of some rows, as copies: write them back with `put`."""
        return Streams(self.keys[ids], self.counters[ids])

    def put(self, ids: np.ndarray, streams: Streams) -> None:
        """Write streams back to their rows."""
        self.keys[ids] = streams.keys
        self.counters[ids] = streams.counters

    def split(self) -> Streams:
        """Draw one number from each stream and make it the key of a new stream."""
        return Streams(_mix(self._bits(1)[:, 0] + _GOLDEN))

    def _bits(self, k: int) -> np.ndarray:
        index = self.counters[:, None] + np.arange(1, k + 1, dtype=np.uint64)
        self.counters = self.counters + np.uint64(k)
        return _mix(self.keys[:, None] + index * _GOLDEN)

    def uniform(
        self, low: object = 0.0, high: object = 1.0, *numpy: object, size: int | None = None
    ) -> np.ndarray:
        """Draw uniform numbers.

        Args:
            low: Lower bounds, a scalar or shape (size,).
            high: Upper bounds, likewise.
            size: How many a stream; omitted, the answer has shape (n,).
        Returns:
            Shape (n,) or (n, size), float64.
        Raises:
            ShapeError: If the size is not given by name, or is no whole number.
        """
        k = _count(size, numpy, "uniform(low, high)")
        unit = (self._bits(k) >> np.uint64(11)).astype(np.float64) * _TO_UNIT
        low, high = np.asarray(low, float), np.asarray(high, float)
        out = low + (high - low) * (unit if size is not None else unit[:, 0])
        return out

    def normal(self, scale: object = 1.0, *numpy: object, size: int | None = None) -> np.ndarray:
        """Draw Gaussian numbers of mean 0 (Box-Muller), shape (n,) or (n, size)."""
        k = _count(size, numpy, "normal(scale)")
        u = (self._bits(2 * k) >> np.uint64(11)).astype(np.float64) * _TO_UNIT
        z = np.sqrt(-2.0 * np.log1p(-u[:, :k])) * np.cos(2.0 * np.pi * u[:, k:])
        return np.asarray(scale, float) * (z if size is not None else z[:, 0])

    def integers(self, high: int, *numpy: object, size: int | None = None) -> np.ndarray:
        """Draw integers in [0, high), shape (n,) or (n, size)."""
        _count(size, numpy, "integers(high)")
        return (self.uniform(size=size) * high).astype(np.int64)


def derive_seed(seed: int, purpose: str) -> int:
    """Derive an independent seed for one purpose.

    Args:
        seed: The user's seed, >= 0.
        purpose: What it is for.
    Returns:
        An integer in [0, 2**32).
    Raises:
        ConfigError: If the seed is no such integer.
    """
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
        raise ConfigError(f"seed is {seed!r}; expected an integer >= 0")
    return int(np.random.SeedSequence([seed, *purpose.encode()]).generate_state(1)[0])
