"""Task families for metarl; importing this package registers them."""

from my_package import reach

__all__ = ["reach"]
