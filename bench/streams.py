"""Creates the Streams that are subscribed to by SID: ``python -m bench.streams``."""

import django

from . import accounts, dialects

MOST = 1024
"""Maximum number of Streams in one run."""


def main() -> None:
    """Create them in the default Service, under the names that publishers use."""
    django.setup()
    # After django.setup(), which models need.
    from sync_streams.models import Stream  # noqa: PLC0415
    from sync_streams.operations import get_service  # noqa: PLC0415

    service = get_service(accounts.ACCOUNT_SID, "default")
    streams = (
        Stream(sid=dialects.stream_sid(n), unique_name=f"bench-{n}", service=service)
        for n in range(MOST)
    )
    Stream.objects.bulk_create(streams)


if __name__ == "__main__":
    main()
