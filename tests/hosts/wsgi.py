"""WSGI application of the host project, for workers that serve no sockets."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.hosts.settings")
application = get_wsgi_application()
