"""Settings of the host project; ``HOST_VARIANT`` selects what is unusual."""

import os
from pathlib import Path
from typing import Any

from tests import settings as base

FOLDER = Path(os.environ["HOST_FOLDER"])
SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "host.sqlite3"}
ACCOUNT_SID = base.ACCOUNT_SID
API_KEY_SID = base.API_KEY_SID

COMMON: dict[str, Any] = {
    "ROOT_URLCONF": "tests.hosts.urls",
    "ASGI_APPLICATION": "tests.hosts.asgi.application",
    "DATABASES": {"default": SQLITE},
    "STATIC_ROOT": FOLDER / "static",
    "SYNC_STREAMS": {**base.SYNC_STREAMS, "CACHE_SECONDS": 0.2},
}


def postgres() -> dict[str, Any]:
    """Return the database of ``HOST_POSTGRES``, ``host port user name``."""
    host, port, user, name = os.environ["HOST_POSTGRES"].split()
    engine = "django.db.backends.postgresql"
    return {"ENGINE": engine, "HOST": host, "PORT": port, "USER": user, "NAME": name}


def with_middleware(first: str, *last: str) -> list[str]:
    """Return the middleware with more around and inside."""
    return [*filter(None, [first]), *base.MIDDLEWARE, *last]


def atomic_requests() -> dict[str, Any]:
    """Run each request in a transaction."""
    return {"DATABASES": {"default": {**SQLITE, "ATOMIC_REQUESTS": True}}}


def router() -> dict[str, Any]:
    """Give the app a PostgreSQL of its own."""
    return {
        "DATABASES": {"default": SQLITE, "sync": postgres()},
        "DATABASE_ROUTERS": ["tests.hosts.routers.SyncRouter"],
    }


def replica() -> dict[str, Any]:
    """Read from a copy of the database that is behind."""
    return {
        "DATABASES": {
            "default": SQLITE,
            "replica": {**SQLITE, "NAME": FOLDER / "replica.sqlite3"},
        },
        "DATABASE_ROUTERS": ["tests.hosts.routers.ReplicaRouter"],
    }


def local_time() -> dict[str, Any]:
    """Keep local times without zones."""
    return {"USE_TZ": False, "TIME_ZONE": "America/Chicago"}


def local_time_in_postgres() -> dict[str, Any]:
    """Keep local times without zones, in PostgreSQL."""
    return {**local_time(), "DATABASES": {"default": postgres()}}


def sub_path() -> dict[str, Any]:
    """Serve the app below a path."""
    return {"ROOT_URLCONF": "tests.hosts.sub_urls"}


def script_name() -> dict[str, Any]:
    """Serve the whole site below a path."""
    return {"FORCE_SCRIPT_NAME": "/sync"}


def root_path() -> dict[str, Any]:
    """Let the server say below which path the site is."""
    return {}


def redis() -> dict[str, Any]:
    """Run several processes, joined by Redis."""
    url = os.environ["HOST_REDIS"]
    layer = "sync_streams.layers.RedisChannelLayer"
    return {
        "CHANNEL_LAYERS": {"default": {"BACKEND": layer, "CONFIG": {"hosts": [url]}}},
        "SYNC_STREAMS": {**COMMON["SYNC_STREAMS"], "REDIS_URL": url},
    }


def spectacular() -> dict[str, Any]:
    """Generate a schema of all views."""
    return {
        "INSTALLED_APPS": [*base.INSTALLED_APPS, "drf_spectacular"],
        "REST_FRAMEWORK": {
            "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"
        },
    }


def site_cache() -> dict[str, Any]:
    """Cache the whole site."""
    return {
        "MIDDLEWARE": with_middleware(
            "django.middleware.cache.UpdateCacheMiddleware",
            "django.middleware.cache.FetchFromCacheMiddleware",
        ),
        "CACHE_MIDDLEWARE_SECONDS": 600,
    }


def login_required() -> dict[str, Any]:
    """Require a login everywhere."""
    return {
        "MIDDLEWARE": with_middleware(
            "", "django.contrib.auth.middleware.LoginRequiredMiddleware"
        ),
        "LOGIN_URL": "/admin/login/",
    }


def manifest() -> dict[str, Any]:
    """Serve static files under names with a hash of what is in them."""
    storage = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    default = "django.core.files.storage.FileSystemStorage"
    return {
        "STORAGES": {
            "default": {"BACKEND": default},
            "staticfiles": {"BACKEND": storage},
        }
    }


def without_users() -> dict[str, Any]:
    """Have no users, and so no admin."""
    return {
        "INSTALLED_APPS": ["rest_framework", "channels", "sync_streams"],
        "MIDDLEWARE": [],
        "TEMPLATES": [],
        "REST_FRAMEWORK": {"UNAUTHENTICATED_USER": None},
        "ROOT_URLCONF": "tests.hosts.bare_urls",
    }


def themed(*apps: str) -> dict[str, Any]:
    """Use another theme for the admin, and serve the whole site below a path."""
    return {**script_name(), "INSTALLED_APPS": [*apps, *base.INSTALLED_APPS]}


def unfold() -> dict[str, Any]:
    """Have https://unfoldadmin.com/."""
    return themed("unfold")


def jazzmin() -> dict[str, Any]:
    """Have https://django-jazzmin.readthedocs.io/."""
    return themed("jazzmin")


def grappelli() -> dict[str, Any]:
    """Have https://django-grappelli.readthedocs.io/."""
    return {**themed("grappelli"), "ROOT_URLCONF": "tests.hosts.grappelli_urls"}


def admin_interface() -> dict[str, Any]:
    """Have https://github.com/fabiocaccamo/django-admin-interface."""
    return themed("admin_interface", "colorfield")


VARIANTS = {
    variant.__name__: variant
    for variant in (
        *(atomic_requests, router, replica, local_time, local_time_in_postgres),
        *(sub_path, script_name, root_path, redis, spectacular),
        *(site_cache, login_required, manifest, without_users),
        *(unfold, jazzmin, grappelli, admin_interface),
    )
}

globals().update({name: value for name, value in vars(base).items() if name.isupper()})
globals().update(COMMON)
globals().update(VARIANTS[os.environ["HOST_VARIANT"]]())
