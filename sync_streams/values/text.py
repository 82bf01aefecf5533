"""Text from untrusted sources, made safe to read: nothing in it is invisible."""

import unicodedata

UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories of characters that are invisible or reverse the text around
them."""

NOBODY = "–"
"""Shown in place of the identity of an event stream that has none."""


def visible(text: str) -> str:
    """Return the text with invisible characters written as escapes, as in JSON."""
    shown = "".join(_escape(char) if _is_unseen(char) else char for char in text)
    return shown if shown.strip() else "".join(map(_escape, text))


def _is_unseen(char: str) -> bool:
    return unicodedata.category(char) in UNSEEN


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
