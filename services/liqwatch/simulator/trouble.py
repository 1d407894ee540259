"""What can be made to go wrong at one simulated venue, while it runs."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Trouble:
    """All off at first. Set a field and the venue behaves so from then on; seconds are real ones."""

    silent: bool = False  # acknowledges and pongs, and delivers nothing
    refuse: set[str] = field(default_factory=set)  # symbols, streams or products that a subscription must not name
    replay: int = 0  # so many of the last pushes are sent again after each subscription
    close_after_connect: bool = False  # accepts, then closes
    handshake_status: int | None = None  # answers a connection attempt with this HTTP status
    retry_after_seconds: int | None = None  # goes with `handshake_status` and `rest_status`
    disconnect_every_seconds: float | None = None  # cuts each socket after about so long, by the seed
    rest_status: int | None = None  # answers every REST request so
    rest_body: bytes | None = None  # … or with this text, status 200
    late_flags_ms: int | None = None  # trades are told as ordinary ones, and flagged so long after in the history
    ignore_pongs: bool = False  # takes the client's answers for missing

    def retry_after(self) -> dict[str, str]:
        """The header of a refusal."""
        seconds = self.retry_after_seconds
        return {} if seconds is None else {"Retry-After": str(seconds)}
