"""Messages over REST: the data in a request's parameters, the Message in its answer.

See https://www.twilio.com/docs/sync/api/stream-message-resource. Neither is a
serializer: to build one would take longer than all else that a publish does here.
"""

from sync_streams.operations.data import Message, read_data

from .bodies import Parameters


def read_message_data(parameters: Parameters) -> object:
    """Return the data to publish: JSON text, or in a JSON body the object itself."""
    data = parameters.get("Data")
    return read_data(data) if isinstance(data, str) else data


def write_message(message: Message) -> bytes:
    """Write a Message as an answer tells of it; its data is finished JSON text."""
    return f'{{"sid":"{message.sid}","data":{message.text}}}'.encode()
