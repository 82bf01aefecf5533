"""Settings of the demo site, from the environment; without any, it runs embedded.

Embedded means SQLite, an in-memory channel layer and generated credentials, kept in
``DATA_DIR``. https://docs.djangoproject.com/en/stable/ref/settings/
"""

import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from project import credentials
from project.exposure import is_private
from project.phone import WILDCARDS, lan_address
from sync_streams.redis import urls

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("DATA_DIR") or BASE_DIR / ".data").resolve()
HOST = os.environ.get("HOST") or "127.0.0.1"
PORT = os.environ.get("PORT") or "8000"
if not PORT.isdecimal() or int(PORT) > 65_535:
    raise ImproperlyConfigured(f"PORT is not a port number: {PORT}")
# Ctrl-C should feel prompt; a site with many connections needs more.
try:
    DRAIN_SECONDS = float(os.environ.get("DRAIN_SECONDS") or 1)
except ValueError as error:
    raise ImproperlyConfigured(f"DRAIN_SECONDS: {error}") from error
PUBLIC_URL = os.environ.get("PUBLIC_URL", "").rstrip("/")
REDIS_URL = os.environ.get("REDIS_URL", "")

CREDENTIALS = credentials.load(DATA_DIR, os.environ)


def _is_set(name: str, default: bool = False) -> bool:
    value = os.environ.get(name, "").lower()
    return value in {"1", "true", "yes", "on"} if value else default


_public = urlsplit(PUBLIC_URL)

DEBUG = _is_set("DEBUG")
SECRET_KEY = CREDENTIALS["SECRET_KEY"]
_hosts = [
    host.strip() for host in os.environ.get("ALLOWED_HOSTS", "").split(",") if host
]

DEMO_OPEN = _is_set("DEMO_OPEN")
"""Whether the page is open to anyone, from anywhere."""

DEMO_PRIVATE = not os.environ.get("DEMO_OPEN") and is_private(
    [HOST, _public.hostname or HOST, *_hosts]
)
"""Whether the page is open to direct requests, which only this machine can make."""

ALLOWED_HOSTS = _hosts or [
    "localhost",
    ".localhost",
    "127.0.0.1",
    "[::1]",
    socket.gethostname(),
    f"[{HOST}]" if ":" in HOST else HOST,
    *([lan_address()] if HOST.strip("[]") in WILDCARDS else []),
    *([_public.hostname] if _public.hostname else []),
]
ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"
APPEND_SLASH = False
USE_TZ = True
ADMIN_URL = "admin/"
LANGUAGE_CODE = "en"
LANGUAGES = [
    ("en", "English"),
    ("de", "Deutsch"),
    ("es", "Español"),
    ("fr", "Français"),
]
TIME_ZONE = "UTC"  # for the log too; Django's default is America/Chicago
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "daphne",  # before staticfiles, so its runserver is used
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
    "project.middleware.StaticFilesMiddleware",
    "project.middleware.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "project.middleware.admin_language",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
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

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("MinimumLengthValidator", "CommonPasswordValidator")
]
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _public.scheme == "https"
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []

STATIC_URL = "static/"  # relative to the path of the site, as the server reports it
STATICFILES_DIRS = [BASE_DIR / "project" / "static"]
WHITENOISE_USE_FINDERS = True  # no collectstatic needed, even with DEBUG off
WHITENOISE_ALLOW_ALL_ORIGINS = False

_SQLITE: dj_database_url.DBConfig = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": str(DATA_DIR / "db.sqlite3"),
    "OPTIONS": {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,  # seconds that a writer waits for another
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    },
}


POOL_SECONDS = 2
"""How long a request waits for a PostgreSQL connection before it fails."""

PG_OPTIONS = "-c lock_timeout=2s -c statement_timeout=10s"
"""Limits of each PostgreSQL query; a migration may need more."""

POOL_CONNECTIONS = 8
"""PostgreSQL connections of one process; its event loop has 6 threads on 2 cores."""


def _database(url: str) -> dj_database_url.DBConfig:
    try:
        database = dj_database_url.parse(url)
    except ValueError as error:
        raise ImproperlyConfigured(f"DATABASE_URL: {error}") from error
    if database["ENGINE"] == "django.db.backends.postgresql":
        # An ASGI server's threads come and go: use a pool, not a connection for each.
        options = {
            "pool": {
                "timeout": POOL_SECONDS,
                # Give up soon, so the next request tries again.
                "reconnect_timeout": POOL_SECONDS,
                "max_size": POOL_CONNECTIONS,
            },
            "connect_timeout": POOL_SECONDS,
            "tcp_user_timeout": 1000 * urls.SILENCE_SECONDS,
            "options": os.environ.get("PGOPTIONS", PG_OPTIONS),
        }
        # Replaces connections that PostgreSQL has closed before they are used.
        database["CONN_HEALTH_CHECKS"] = True
        database["OPTIONS"] = database.get("OPTIONS", {}) | options
    return database


_database_url = os.environ.get("DATABASE_URL")
DATABASES = {"default": _database(_database_url) if _database_url else _SQLITE}


def _redis_hosts(url: str) -> list[dict[str, Any]]:
    try:
        return urls.hosts(url)
    except ValueError as error:
        raise ImproperlyConfigured(f"REDIS_URL: {error}") from error


CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "sync_streams.layers.RedisChannelLayer",
        "CONFIG": {"hosts": _redis_hosts(REDIS_URL)},
    }
    if REDIS_URL
    else {
        "BACKEND": "sync_streams.layers.InMemoryChannelLayer",
        "CONFIG": {"capacity": 10_000},
    }
}

SYNC_STREAMS = {
    "ACCOUNTS": {
        CREDENTIALS["SYNC_ACCOUNT_SID"]: {
            "AUTH_TOKEN": CREDENTIALS["SYNC_AUTH_TOKEN"],
            "API_KEYS": {
                CREDENTIALS["SYNC_API_KEY_SID"]: CREDENTIALS["SYNC_API_KEY_SECRET"]
            },
        }
    },
    "PUBLIC_URL": PUBLIC_URL,
    "REDIS_URL": REDIS_URL,
    "DRAIN_SECONDS": DRAIN_SECONDS,
    "WEBHOOK_ALLOW_PRIVATE": _is_set("WEBHOOK_ALLOW_PRIVATE"),
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    # Refused requests are reported to the client, not on the console.
    "loggers": {
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "django.security.TooManyFieldsSent": {"level": "CRITICAL"},
    },
}
