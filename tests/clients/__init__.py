"""The clients that tests use: one module for each protocol, and for what they share.

``accounts`` has credentials and tokens, ``wires`` what carries a socket's frames.
Every wait has a limit (``WAIT_SECONDS``), so that a test fails instead of hanging.
"""
