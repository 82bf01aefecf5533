"""Redis: its addresses, the publish rate, and a channel layer.

Read the layer bottom-up: :mod:`.connection` (one socket), :mod:`.pipeline` (commands)
and :mod:`.subscription` (pub/sub), then :mod:`.server` and :mod:`.cluster`, and finally
:mod:`.layer`.
"""
