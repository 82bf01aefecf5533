"""Scripts that Redis runs: each is one atomic step.

Redis decides on its own clock: those of the publishers may differ. A Stream's log holds
the moments of its last admissions in microseconds, newest first. If somebody sets the
clock back, a log of the future counts for nothing: its Stream would be refused until
then.
https://redis.io/docs/latest/develop/programmability/eval-intro/.
"""

from dataclasses import dataclass
from hashlib import sha1


@dataclass(frozen=True, slots=True)
class Script:
    """A script, and the name under which a server that has seen it knows it."""

    text: str
    sha: bytes

    @classmethod
    def of(cls, *parts: str) -> "Script":
        """Put a script together."""
        text = "".join(parts)
        # Redis' name for it; it secures nothing.
        digest = sha1(text.encode(), usedforsecurity=False).hexdigest()
        return cls(text, digest.encode())


# KEYS: the log. ARGV: Messages in a window, the window's microseconds; and then the
# channel, what is published to it, and the moment until which that is wanted.
_CLOCK = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
"""

# A server that hangs may go on with what its publisher has been told is lost.
_CHECK = """
if now > tonumber(ARGV[5]) then
  return -1
end
"""

_SPEND = """
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local nth = redis.call('LINDEX', KEYS[1], limit - 1)
if nth and tonumber(nth) > now then
  redis.call('DEL', KEYS[1])
  nth = nil
end
if nth and now - tonumber(nth) < window then
  return window - (now - tonumber(nth))
end
redis.call('LPUSH', KEYS[1], string.format('%.0f', now))
redis.call('LTRIM', KEYS[1], 0, limit - 1)
redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
"""

# Last: what cannot be counted fails before. A server refuses to write where it is
# read-only or full, yet it publishes.
_PUBLISH = "redis.call('{}', ARGV[3], ARGV[4])\n"

_DONE = "return 0\n"

SPEND = Script.of(_CLOCK, _SPEND, _DONE)
"""Admit a Message and return 0, or return the microseconds to wait."""

SPEND_AND_PUBLISH = Script.of(_CLOCK, _CHECK, _SPEND, _PUBLISH.format("PUBLISH"), _DONE)
"""The same, and what is admitted is published. Return -1, and do nothing, if it is too
late for that."""

SPEND_AND_PUBLISH_SHARDED = Script.of(
    _CLOCK, _CHECK, _SPEND, _PUBLISH.format("SPUBLISH"), _DONE
)
"""The same on a Redis Cluster, to those who listen to the log's slot."""
