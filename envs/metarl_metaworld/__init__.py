"""Meta-World 3.1.1 as families of metarl; its environments run in an interpreter of their own."""

from metarl_metaworld import families

__all__ = ["families"]
