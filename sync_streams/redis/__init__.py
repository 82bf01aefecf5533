"""Redis: its addresses, the publish rate, and a channel layer that talks to it.

Read the layer up from :mod:`.connection` (one socket), :mod:`.pipeline` (commands) and
:mod:`.subscription` (what is heard) over :mod:`.server` and :mod:`.cluster` to
:mod:`.layer`.
"""
