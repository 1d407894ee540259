"""The largest single liquidation of a window, for the rules that are judged by one. Pure."""

from collections import deque

from ..rulesettings import Ladder


class Orders:
    """Those that keep an incident open: of smaller ones there is nothing to say. Micro-dollars."""

    def __init__(self, ladder: Ladder) -> None:
        self._least = ladder.clear
        self._span = ladder.span_ms // 1000
        self._kept: deque[tuple[int, int]] = deque()  # second, micro-dollars: the largest first

    def add(self, second: int, amount: int) -> bool:
        """Takes an order; False if it is one of the smaller."""
        if amount < self._least:
            return False
        kept = self._kept
        while kept and kept[-1][1] <= amount and kept[-1][0] <= second:
            kept.pop()
        kept.append((second, amount))
        return True

    def largest(self, second: int) -> int:
        """Of the window that ends with that second of the clock; 0 if there is none."""
        kept, after = self._kept, second - self._span
        while kept and kept[0][0] <= after:
            kept.popleft()
        return max((usd for at, usd in kept if at > after), default=0)
