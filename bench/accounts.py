"""The benchmark's account, and the access token its subscribers connect with."""

import time

import jwt

ACCOUNT_SID = "AC" + "b" * 32
AUTH_TOKEN = "auth-token-of-the-bench-32-characters"
API_KEY_SID = "SK" + "b" * 32
API_KEY_SECRET = "api-key-secret-of-the-bench-account"

ENVIRONMENT = {
    "SYNC_ACCOUNT_SID": ACCOUNT_SID,
    "SYNC_AUTH_TOKEN": AUTH_TOKEN,
    "SYNC_API_KEY_SID": API_KEY_SID,
    "SYNC_API_KEY_SECRET": API_KEY_SECRET,
}
"""Environment variables that ``project.settings`` reads."""


def hub_token(**claims: object) -> str:
    """Return a token for a hub that is not the product, with claims of its own."""
    return jwt.encode({"sub": "bench", **claims}, API_KEY_SECRET, algorithm="HS256")


def access_token() -> str:
    """Return a token for the default Service, valid for one day."""
    now = int(time.time())
    grants = {"identity": "bench", "data_sync": {"service_sid": "default"}}
    claims = {"iss": API_KEY_SID, "sub": ACCOUNT_SID, "iat": now, "exp": now + 86_000}
    return jwt.encode(
        claims | {"jti": f"{API_KEY_SID}-{now}", "grants": grants},
        API_KEY_SECRET,
        algorithm="HS256",
        headers={"cty": "twilio-fpa;v=1"},
    )
