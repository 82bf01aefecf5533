"""The clients that tests use: a module for each protocol, and for shared parts.

``accounts`` has credentials and tokens, ``wires`` carries the frames of sockets. Every
wait has a limit (``WAIT_SECONDS``), so that a test fails instead of hanging.
"""
