"""Daphne's HTTP request, with errors in the API's form and flow control."""

from typing import Any

from daphne.http_protocol import WebRequest

from sync_streams.connections import bounds

EVENT_STREAM = b"text/event-stream"

ERRORS = {400: bounds.BAD_REQUEST, 503: bounds.NO_PLACE}
"""Errors that Daphne itself reports, by status; any other is an internal error."""


class BoundedRequest(WebRequest):
    """One request; its channel is a :class:`.http.BoundedChannel`."""

    channel: Any = None
    """Also once the response is complete, when Twisted deletes the attribute."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Otherwise Twisted parses forms, too, and disconnects on a malformed one.
        self._parsePOSTFormSubmission = False

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a part of the body, within the limit."""
        self.channel.keep(self, data)

    def check_timeouts(self) -> None:
        """End a response that takes too long, unless it is an event stream.

        That lasts until somebody ends it, and would end without ``closing`` here. A
        request whose client has left has no response either: Daphne's attempt to end it
        raises, after which it would check no connection again.
        """
        kinds = self.responseHeaders.getRawHeaders(b"content-type", [b""])
        is_event_stream = kinds[0].startswith(EVENT_STREAM)
        if self.channel is not None and not is_event_stream:
            super().check_timeouts()

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """Respond with an error, as JSON, and close the connection.

        Daphne's own function responds with HTML. It raises if the response has already
        begun, which would stop the checks of all connections.
        """
        if self.channel is None:
            return
        if self._response_started:
            self.channel.transport.abortConnection()
            return
        self.channel.persistent = False
        refusal = ERRORS.get(status, bounds.FAULT)
        head = {"status": refusal.status, "headers": refusal.headers}
        self.handle_reply({"type": "http.response.start", **head})
        self.handle_reply({"type": "http.response.body", "body": refusal.body})

    async def until_writable(self) -> None:
        """Wait until the client has read enough of the response for more of it."""
        if self.channel is not None:
            await self.channel.flow.until_writable()
