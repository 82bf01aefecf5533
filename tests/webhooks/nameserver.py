"""A name server on loopback: one address for all names, but no reply for some."""

import socket
import struct
from threading import Thread
from typing import Self

SILENT = b"\x06silent"
"""Label of the names that are never answered."""

TYPE_A = 1


class Nameserver:
    """``with Nameserver() as address``; each question is answered with an address."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # Queries arrive together, and those without room are lost.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = Thread(target=self._serve, daemon=True)
        self.asked = 0

    @property
    def address(self) -> str:
        """Where it is, as ``host:port``."""
        return "{}:{}".format(*self._socket.getsockname())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            question, sender = self._socket.recvfrom(4096)
            if not question:
                return
            self.asked += 1
            if SILENT not in question:
                self._socket.sendto(self._answer(question), sender)

    def _answer(self, question: bytes) -> bytes:
        end = question.index(b"\0", 12) + 5
        (kind,) = struct.unpack("!H", question[end - 4 : end - 2])
        addresses = self._addresses if kind == TYPE_A else ()
        head = question[:2] + struct.pack("!5H", 0x8180, 1, len(addresses), 0, 0)
        records = b"".join(
            b"\xc0\x0c" + struct.pack("!HHIH", TYPE_A, 1, 0, 4) + socket.inet_aton(one)
            for one in addresses
        )
        return head + question[12:end] + records
