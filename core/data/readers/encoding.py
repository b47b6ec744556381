"""Bytes to text: which encoding a file has, found by reading it once in bounded memory."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass

BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like UTF-16's, so it is asked first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
NOT_IN_CP1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
ESCAPED = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True)
class Encoding:
    """`errors` is for open(): bytes that are not valid become lone surrogates, found per row (core.data.values)."""

    name: str
    note: str = ""
    errors: str = "surrogateescape"


def detect_encoding(chunks: Iterable[bytes]) -> Encoding:
    """UTF-8 if the valid characters outside ASCII outnumber the broken bytes, else Windows-1252 or Latin-1.

    A UTF-8 file with a few damaged bytes thus stays UTF-8, and only its damaged rows are reported. `note` is empty for
    UTF-8, and otherwise a sentence for the person.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    valid = broken = 0
    cp1252 = True
    first = True
    for chunk in chunks:
        if first:
            for bom, name in BOMS:
                if chunk.startswith(bom):
                    return Encoding("utf-8-sig") if bom == codecs.BOM_UTF8 else wide_encoding(name)
            if found := detect_utf16(chunk):
                return wide_encoding(found)
            first = False
        text = decoder.decode(chunk)
        escaped = len(ESCAPED.findall(text))
        broken += escaped
        valid += len(text) - len(text.encode("ascii", "ignore")) - escaped
        cp1252 = cp1252 and not NOT_IN_CP1252.search(chunk)
    if broken <= valid:
        return Encoding("utf-8")
    name, title = ("cp1252", "Windows-1252 (Western European)") if cp1252 else ("latin-1", "Latin-1")
    return Encoding(
        name, f"The file is not UTF-8; it was read as {title}. Look whether its accents are right.", "strict"
    )


def wide_encoding(name: str) -> Encoding:
    return Encoding(name, f"The file is {name[:6].upper()}, not UTF-8; it was read as such.", "surrogatepass")


def detect_utf16(chunk: bytes) -> str | None:
    """UTF-16 that does not say so: every other byte of its ASCII is zero, which no other text has."""
    low, high = chunk[:2000:2], chunk[1:2000:2]
    if high and high.count(0) > 0.6 * len(high) and not low.count(0):
        return "utf-16-le"
    return "utf-16-be" if high and low.count(0) > 0.6 * len(low) and not high.count(0) else None
