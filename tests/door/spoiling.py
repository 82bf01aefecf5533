"""Good input with something replaced, removed or inserted."""

from hypothesis import strategies as st

Cut = tuple[int, int, bytes]


def spoilt(whole: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Return drawn values with up to four changes."""

    def spoil(data: bytes, cuts: list[Cut]) -> bytes:
        for at, size, instead in cuts:
            at %= len(data) + 1
            data = data[:at] + instead + data[at + size :]
        return data

    cut = st.tuples(st.integers(0, 500), st.integers(0, 20), st.binary(max_size=20))
    return st.builds(spoil, whole, st.lists(cut, max_size=4))


def spoilt_text(text: str) -> st.SearchStrategy[str]:
    """Return a text with up to four changes, each character a byte."""
    changed = spoilt(st.just(text.encode("latin-1")))
    return changed.map(lambda data: data.decode("latin-1"))
