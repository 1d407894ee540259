"""What a session asked its venue for, and what the venue said to each."""


class Asked:
    """Keys are the session's own: a request's number, a topic, an argument. A refused key is asked for no longer.

    A yes to what was not asked for is nothing: what a venue writes cannot make this grow.
    """

    def __init__(self) -> None:
        self._open: set[str] = set()
        self._granted: set[str] = set()

    def ask(self, key: str) -> None:
        self._open.add(key)

    def grant(self, key: str) -> None:
        if key in self._open:
            self._open.remove(key)
            self._granted.add(key)

    def refuse(self, key: str) -> None:
        self._open.discard(key)
        self._granted.discard(key)

    @property
    def all_granted(self) -> bool:
        """Nothing is open and something was granted."""
        return not self._open and bool(self._granted)
