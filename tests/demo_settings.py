"""The demo site's settings, with passwords that are quick to check at each start."""

from project.settings import *  # noqa: F403 - whatever the site has

PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.MD5PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",  # of data made without these
]
