"""The base of every error that Waymark shows to a person."""


class WaymarkError(Exception):
    """Something a person can act on: one line of what is wrong and a hint of what to do next.

    The command line prints `message` and `hint` and exits with 1; the HTTP API answers 422 with both.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
