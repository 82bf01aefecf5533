"""The way from one publish to every socket: broadcast → hub → outbox.

Knows no protocol and no rules. Nothing here that is multiplied by the number of
subscribers touches a database, a cache or a thread.
"""
