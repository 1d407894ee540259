"""Gunzips a binary message with a bound, so that a bomb costs no memory."""

import zlib

LARGEST = 16 * 1024 * 1024
_GZIP = 31  # wbits


def gunzip(packed: bytes) -> str:
    """The text inside. Raises `ValueError` for what is not gzip, cut off, too large or not UTF-8."""
    inflate = zlib.decompressobj(_GZIP)
    try:
        plain = inflate.decompress(packed, LARGEST)
    except zlib.error as error:
        raise ValueError(f"not gzip: {error}") from None
    if inflate.unconsumed_tail:
        raise ValueError(f"more than {LARGEST >> 20} MiB after gunzip")
    if not inflate.eof:
        raise ValueError("gzip cut off")
    try:
        return plain.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 after gunzip: {error.reason} at {error.start}") from None
