"""The smallest site that the app works in, with two accounts."""

import os
import tempfile
from pathlib import Path

ACCOUNT_SID = "AC" + "a" * 32
AUTH_TOKEN = "auth-token-of-the-first-account-of-the-tests"
API_KEY_SID = "SK" + "a" * 32
API_KEY_SECRET = "api-key-secret-of-the-first-account"

OTHER_ACCOUNT_SID = "AC" + "b" * 32
OTHER_AUTH_TOKEN = "auth-token-of-the-other-account-of-the-tests"
OTHER_API_KEY_SID = "SK" + "b" * 32
OTHER_API_KEY_SECRET = "api-key-secret-of-the-other-account"

SECRET_KEY = "only-for-tests-only-for-tests-only-for-tests-only-for-tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.urls"
ASGI_APPLICATION = "tests.asgi.application"
APPEND_SLASH = False
USE_TZ = True
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "channels",
    "sync_streams",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# A file, not memory: threads of one test then wait for each other's transactions
# instead of failing on a locked table.
TEST_DATABASE = Path(tempfile.gettempdir(), f"sync-streams-{os.getpid()}.sqlite3")
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": ":memory:",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;",
        },
        "TEST": {"NAME": TEST_DATABASE},
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "sync_streams.layers.InMemoryChannelLayer",
        "CONFIG": {"capacity": 10_000},
    }
}
SYNC_STREAMS = {
    "ACCOUNTS": {
        ACCOUNT_SID: {
            "AUTH_TOKEN": AUTH_TOKEN,
            "API_KEYS": {API_KEY_SID: API_KEY_SECRET},
        },
        OTHER_ACCOUNT_SID: {
            "AUTH_TOKEN": OTHER_AUTH_TOKEN,
            "API_KEYS": {OTHER_API_KEY_SID: OTHER_API_KEY_SECRET},
        },
    },
    # Tests start sweeps themselves.
    "EXPIRY_INTERVAL_SECONDS": 0,
}
