"""The same bits on every processor: NumPy must not round by what this one can do."""

from __future__ import annotations

import os
import sys

VARIABLE = "NPY_DISABLE_CPU_FEATURES"
# With AVX-512 NumPy computes exp, log, power and arctan2 by routines of their own, which differ in
# the last bits from those of every other x86-64 processor; a training soon differs everywhere. Names
# of NumPy 1.26 and of 2.4; it passes over those that it does not know.
AVX512 = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR X86_V4"


def same_bits() -> bool:
    """Ask NumPy, before it is loaded, to do without AVX-512; what the environment says goes first.

    Returns:
        Whether it will: not if it is loaded already and was not asked before.
    """
    if VARIABLE not in os.environ and "numpy" not in sys.modules:
        os.environ[VARIABLE] = AVX512
    return VARIABLE in os.environ
