"""``python -m docs.generate``: write what the code says into the documentation."""

import os

import django
from django.utils.module_loading import import_string


def main() -> None:
    """Write every generated file; they import models, so Django comes first."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    import_string("docs.generate.files.write_all")()


if __name__ == "__main__":
    main()
