"""What a setting's value must be, according to the type of its field in ``conf``."""

import re
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#]+")
_PUBLIC_URL = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")
_THRESHOLDS = 3


def _is_whole(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_amount(value: Any) -> bool:
    return type(value) in {int, float} and isfinite(value) and value >= 0


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _are_thresholds(value: Any) -> bool:
    if value is None:
        return True
    is_list = isinstance(value, (list, tuple)) and len(value) == _THRESHOLDS
    return is_list and all(map(_is_whole, value))


def _are_origins(value: Any) -> bool:
    # Text is a sequence of text, too.
    is_list = isinstance(value, (list, tuple, set, frozenset))
    return is_list and all(isinstance(o, str) and _ORIGIN.fullmatch(o) for o in value)


def _are_sizes(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(path, str) and path.startswith("/") and _is_whole(size)
        for path, size in value.items()
    )


_KINDS: dict[Any, tuple[Callable[[Any], bool], str]] = {
    int: (_is_whole, "a whole number of at least 0"),
    float: (_is_amount, "a number of at least 0"),
    bool: (_is_flag, "True or False"),
    tuple[int, int, int] | None: (_are_thresholds, "three whole numbers, or None"),
    Sequence[str]: (_are_origins, 'a list of origins, such as "https://app.example"'),
    Mapping[str, int]: (_are_sizes, 'a dict of sizes by path, such as {"/media/": 10}'),
}


def expected(kind: Any, value: Any) -> str:
    """Return what a value of this kind has to be; empty if it is, or if any may be."""
    is_right, words = _KINDS.get(kind, (lambda _: True, ""))
    return "" if is_right(value) else words


def is_public_url(value: Any) -> bool:
    """Tell whether a value is empty or a URL that browsers accept."""
    return isinstance(value, str) and (not value or bool(_PUBLIC_URL.fullmatch(value)))
