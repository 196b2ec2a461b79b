"""Files of pictures as anyone may have them: looked at before they are decoded, made square and plain.

Nothing is changed without a note of it.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from metarl.errors import MetaRLError
from metarl.runs.reading import open_file

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
MAX_PIXELS = 120_000_000  # of one picture: more than a telephone's camera, less than a gigabyte
MAX_BYTES = 200 * 2**20
_FORMATS = ("PNG", "JPEG", "WEBP")
_PNG, _DEPTH_AT = b"\x89PNG", 24  # where a PNG says how many bits a channel has


class BadPicture(MetaRLError):
    """A file is no picture that can be read; the message says why, without the name."""


def read_picture(path: Path, size: int) -> tuple[np.ndarray, list[str]]:
    """Read one picture as a small square one.

    It is turned as its EXIF says, the middle square is cut out, and that is brought to the size.

    Args:
        path: A PNG, JPEG or WebP file.
        size: Width and height of the result [pixels].
    Returns:
        Shape (size, size, 3), uint8; what was done to it, in words that do not name it.
    Raises:
        BadPicture: If it is missing, empty, no regular file, of another format, damaged, or so large
            that it is refused before it is decoded.
    """
    try:
        with open_file(path) as file:
            return _read(file, size)
    except BadPicture:
        raise
    except FileNotFoundError as error:
        raise BadPicture("is missing") from error
    except MetaRLError as error:
        raise BadPicture(f"cannot be read: {str(error).partition(': ')[2]}") from error


def _read(file: BinaryIO, size: int) -> tuple[np.ndarray, list[str]]:
    from PIL import Image

    length = os.fstat(file.fileno()).st_size
    if not length:
        raise BadPicture("is empty")
    if length > MAX_BYTES:
        raise BadPicture(f"has {length} bytes, more than {MAX_BYTES}")
    start = file.read(_DEPTH_AT + 1)
    file.seek(0)
    deep = start.startswith(_PNG) and start[_DEPTH_AT:] == b"\x10"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own limit is below ours
        try:
            with Image.open(file, formats=_FORMATS) as image:
                _require_size(image)
                return _square(image, size, deep)
        except BadPicture:
            raise
        except Image.UnidentifiedImageError as error:
            raise BadPicture("is no PNG, JPEG or WebP") from error
        except Image.DecompressionBombError as error:
            raise BadPicture(f"has more than {MAX_PIXELS} pixels") from error
        except Exception as error:  # a damaged file raises whatever its decoder meets
            raise BadPicture(f"is damaged: {' '.join(str(error).split())[:80]}") from error


def _require_size(image: Picture) -> None:
    """Refuse what would not fit; nothing is decoded yet."""
    if image.width * image.height > MAX_PIXELS:
        raise BadPicture(
            f"has {image.width} x {image.height} pixels, more than {MAX_PIXELS} in all"
        )


def _square(image: Picture, size: int, deep: bool) -> tuple[np.ndarray, list[str]]:
    from PIL import Image, ImageOps

    notes = list[str]()
    if getattr(image, "n_frames", 1) > 1:
        notes.append("only the first frame taken")
    whole = image.size
    image.draft("RGB", (2 * size, 2 * size))  # a JPEG is decoded no larger than it need be
    turned = ImageOps.exif_transpose(image)
    if image.getexif().get(0x0112, 1) != 1:
        notes.append("turned as EXIF says")
    plain, said = _plain(turned, deep)
    if whole[0] != whole[1]:
        notes.append("cut to the middle square")
    if min(whole) < size:
        notes.append(f"enlarged to {size} pixels")
    fitted = ImageOps.fit(plain, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(fitted).copy(), [*notes, *said]


def _plain(image: Picture, deep: bool) -> tuple[Picture, list[str]]:
    """Bring a picture to eight bits of red, green and blue."""
    from PIL import Image

    notes = ["16 bits cut to 8"] if deep else []
    if image.mode.startswith("I"):  # sixteen bits of grey
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).astype(np.uint8))
    grey = image.mode in ("L", "LA", "1")
    if image.mode in ("LA", "PA", "RGBA", "RGBa", "La") or "transparency" in image.info:
        clear = image.convert("RGBA")
        paper = Image.new("RGBA", clear.size, "white")
        image = Image.alpha_composite(paper, clear)
        notes.append("transparency laid on white")
    if grey:
        notes.append("grey")
    if image.mode == "CMYK":
        notes.append("CMYK turned to RGB")
    return image.convert("RGB"), notes
