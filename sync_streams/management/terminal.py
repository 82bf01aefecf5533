"""Terminal: how all commands communicate with people and scripts."""

import sys
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    DjangoHelpFormatter,
    OutputWrapper,
)
from django.db import OperationalError

from sync_streams.errors import SyncError

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C interrupted, as in shells."""


class HelpFormatter(DjangoHelpFormatter):
    """Keeps the line breaks of the examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


class TerminalCommand(BaseCommand):
    """A command whose errors fit on one line, in any terminal encoding."""

    examples: ClassVar[str] = ""
    """Lines at the end of ``--help``."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._verbosity = 1
        for stream in (self.stdout, self.stderr):
            _tolerate(stream._out)

    def create_parser(
        self, prog_name: str, subcommand: str, **options: Any
    ) -> CommandParser:
        """Return a parser whose help includes the examples."""
        _tolerate(sys.stdout)
        options.setdefault("formatter_class", HelpFormatter)
        options.setdefault("epilog", f"examples:\n{self.examples}")
        return super().create_parser(prog_name, subcommand, **options)

    def execute(self, *args: Any, **options: Any) -> str | None:
        self._verbosity = options.get("verbosity", 1)
        try:
            return super().execute(*args, **options)
        except SyncError as error:
            raise CommandError(_told(error)) from error
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        except OperationalError as error:
            raise CommandError(f"The database failed: {error}".strip()) from error
        except KeyboardInterrupt as error:
            raise CommandError("Interrupted.", returncode=INTERRUPTED) from error

    def tell(self, what: str, ending: str = "\n") -> None:
        """Print a status line, not an error, on standard error."""
        if self._verbosity:
            self.stderr.write(what, style_func=str, ending=ending)
            self.stderr.flush()

    def can_show(self, text: str) -> bool:
        """Tell whether standard output can encode the whole text."""
        try:
            text.encode(_encoding(self.stdout))
        except UnicodeEncodeError:
            return False
        return True


def _told(error: SyncError) -> str:
    # A library's message about an unreachable server includes the host and port.
    why = error.__cause__
    return f"{error.code}: {error.text}" + (f" ({why})" if why and str(why) else "")


def _encoding(stream: OutputWrapper) -> str:
    return getattr(stream._out, "encoding", None) or "utf-8"


def _tolerate(stream: Any) -> None:
    # Characters that a terminal cannot encode are written as escapes.
    if getattr(stream, "errors", None) == "strict":
        stream.reconfigure(errors="backslashreplace")
