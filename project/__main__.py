"""``python -m project``: prepare the demo site and serve it.

With the argument ``provision`` it only prepares, for use with another server.
"""

import os
import sys

import django
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.utils.module_loading import import_string

from project.credentials import CredentialsIncomplete

STEPS = {
    "serve": "project.server.serve",
    "cluster": "project.cluster.serve",
    "provision": "project.provision.provision",
}
CANNOT_START = (OSError, DatabaseError, ImproperlyConfigured, CredentialsIncomplete)


def main(step: str = "serve") -> int:
    """Run one step; report a missing requirement as one line, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    try:
        django.setup()
        import_string(STEPS[step])()
    except KeyboardInterrupt:
        return 0
    except CANNOT_START as error:
        print(f"Cannot start: {error}".replace("\n", " "), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
