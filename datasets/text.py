"""Text as people's files hold it: mixed UTF-8, Latin-1 and broken bytes, read so that nothing raises."""

from __future__ import annotations

import codecs


def _as_western(error: UnicodeError) -> tuple[str, int]:
    """Read the bytes that are no UTF-8 as cp1252, or as Latin-1 where cp1252 has no such character."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    read = "".join(bytes([byte]).decode("cp1252" if byte not in _NOT_IN_CP1252 else "latin-1") for byte in wrong)
    return read, error.end


_NOT_IN_CP1252 = frozenset((0x81, 0x8D, 0x8F, 0x90, 0x9D))

codecs.register_error("western", _as_western)


def decode_text(raw: bytes) -> str:
    """The text in `raw`. Valid UTF-8 sequences (emoji) are kept, every other byte is read as cp1252 or Latin-1.

    Never raises. A byte order mark at the start is left out.
    """
    return raw.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="western")


def clean_text(text: str) -> str:
    """`text` as UTF-8 can hold it: half a surrogate pair, as broken JSON escapes give it, becomes U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", errors="surrogatepass").decode("utf-16", errors="replace")
    return text
