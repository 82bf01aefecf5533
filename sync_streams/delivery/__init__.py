"""The path from a publish to every socket: broadcast → hub → outbox.

It contains no protocol and no rules. Nothing that runs once per subscriber touches a
database, a cache or a thread.
"""
