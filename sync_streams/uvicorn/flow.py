"""Flow control of an HTTP connection whose pipelined requests wait for their turn."""

from uvicorn.protocols.http.flow_control import FlowControl


class Flow(FlowControl):
    """uvicorn's flow control, which resumes reading at each response and receive."""

    is_held = False
    """Whether data that was already read has to wait."""

    def resume_reading(self) -> None:
        """Resume, unless data is held."""
        if not self.is_held:
            super().resume_reading()
