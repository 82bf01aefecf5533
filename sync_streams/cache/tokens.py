"""Cache of verified access tokens: a client that reconnects sends the same one again.

After a restart thousands do at the same time, and verifying a token costs as much as
the rest of the handshake. Only tokens that were accepted are kept, by their digest.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256

from sync_streams.tokens import Identity, read_token, signing_secret
from sync_streams.values.accounts import Secret

MAX_TOKENS = 10_000
"""Limit of tokens; above it the oldest is dropped."""


@dataclass(frozen=True, slots=True)
class _Verified:
    identity: Identity
    secret: Secret
    """The secret that signed the token."""


_verified: OrderedDict[bytes, _Verified] = OrderedDict()


def verify_token(token: object) -> Identity:
    """Return the identity in an access token, as :func:`read_token` does.

    A token stays accepted until it expires, or its key is removed or replaced.

    Raises:
        InvalidToken: 20101 to 20107.
    """
    digest = sha256(str(token).encode(errors="surrogatepass")).digest()
    known = _verified.get(digest)
    if known is not None and _is_valid(known):
        return known.identity
    _verified.pop(digest, None)
    identity = read_token(token)
    secret = signing_secret(identity)
    if secret is not None:
        _keep(digest, _Verified(identity, secret))
    return identity


def _is_valid(known: _Verified) -> bool:
    identity = known.identity
    is_signed = signing_secret(identity) == known.secret
    return is_signed and identity.expires_at > time.time()


def _keep(digest: bytes, verified: _Verified) -> None:
    _verified[digest] = verified
    while len(_verified) > MAX_TOKENS:
        _verified.popitem(last=False)
