"""Scripts that run in Redis, each as one atomic step.

They use Redis' clock, since those of publishers can differ. A Stream's log holds the
times of its latest accepted Messages in microseconds, newest first. If the clock is set
back, a log from the future is ignored: it would block the Stream until then.
https://redis.io/docs/latest/develop/programmability/eval-intro/.
"""

from dataclasses import dataclass
from hashlib import sha1


@dataclass(frozen=True, slots=True)
class Script:
    """A script, and the digest under which a server caches it."""

    text: str
    sha: bytes

    @classmethod
    def of(cls, *parts: str) -> "Script":
        """Assemble a script."""
        text = "".join(parts)
        # Redis' name for the script; not used for security.
        digest = sha1(text.encode(), usedforsecurity=False).hexdigest()
        return cls(text, digest.encode())


# KEYS: the log. ARGV: Messages per window, the window in microseconds; then the
# channel, the payload to publish, and the time after which it is too late.
_CLOCK = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
"""

# A server that hung may resume with a command whose publisher already got an error.
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

# Last, so a Message that cannot be counted fails first: a read-only or full server
# refuses writes but still publishes.
_PUBLISH = "redis.call('{}', ARGV[3], ARGV[4])\n"

_DONE = "return 0\n"

SPEND = Script.of(_CLOCK, _SPEND, _DONE)
"""Accept a Message and return 0, or return the microseconds to wait."""

SPEND_AND_PUBLISH = Script.of(_CLOCK, _CHECK, _SPEND, _PUBLISH.format("PUBLISH"), _DONE)
"""The same, and publish the Message if it is accepted. If it is too late, do nothing
and return -1."""

SPEND_AND_PUBLISH_SHARDED = Script.of(
    _CLOCK, _CHECK, _SPEND, _PUBLISH.format("SPUBLISH"), _DONE
)
"""The same on a Redis Cluster, with sharded pub/sub in the log's slot."""
