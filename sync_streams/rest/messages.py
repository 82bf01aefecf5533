"""Messages over REST: the data in a request, the Message in a response.

See https://www.twilio.com/docs/sync/api/stream-message-resource. Neither uses a
serializer, since building one would take longer than the rest of a publish.
"""

from sync_streams.operations.data import Message, read_data

from .bodies import Parameters


def read_message_data(parameters: Parameters) -> object:
    """Return the data to publish: JSON text or, in a JSON body, the object itself."""
    data = parameters.get("Data")
    return read_data(data) if isinstance(data, str) else data


def write_message(message: Message) -> bytes:
    """Write a Message for a response; its data is already JSON text."""
    return f'{{"sid":"{message.sid}","data":{message.text}}}'.encode()
