"""The Django app configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SyncStreamsConfig(AppConfig):
    """Configures the app. It queries no database and starts nothing."""

    name = "sync_streams"
    verbose_name = _("Sync Streams")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from .wiring import parts  # noqa: PLC0415 - models exist only now

        parts.connect()
