"""What came, in the order it came, and who asks for it: a journal of all events, and tracks that sum up theirs. Pure.

Thousands of tracks are spread over memory, and each event belongs to two of them. To visit them for each event would
take most of the time. So an event is written to the journal alone, with the number of the event before it in either
track; a track that is asked follows these numbers back to where it was, and takes in what is new.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from .largest import Step, beats, climb_late, forget_until, largest_after

_WRAP = (1 << 32) - 1  # numbers and counts of events run round
_USD = (1 << 64) - 1


class Journal:
    """The events of the kept time, column by column."""

    def __init__(self) -> None:
        self._first = 0  # the number of the first event kept
        self._next = 0
        self._seconds = array("I")
        self._minus = array("q")  # minus the micro-dollars, as in a step
        self.of_coins = array("I")  # the number of the event before, in the track of the coin
        self.of_venues = array("I")
        # Of each track by its number, close together: its newest event, the second of that, and the top of its stairs.
        self.heads = array("I")
        self._lasts = array("I")
        self._tops = array("q")
        self._free: list[int] = []

    def new_track(self) -> int:
        """A number for a track, with nothing in it."""
        if not self._free:
            self._free.append(len(self.heads))
            self.heads.append(0)
            self._lasts.append(0)
            self._tops.append(0)
        number = self._free.pop()
        self.heads[number] = self._first - 1 & _WRAP
        self._lasts[number] = 0
        self._tops[number] = 1
        return number

    def release(self, track: "Track") -> None:
        """The track is no more."""
        self._free.append(track.number)

    def write(self, step: Step, coin: "Track", venue: "Track") -> None:
        """Takes in an event."""
        second, minus, event_id, _ = step
        index = self._next
        self._next = index + 1 & _WRAP
        self._seconds.append(second)
        self._minus.append(minus)
        heads, lasts, tops = self.heads, self._lasts, self._tops
        self.of_coins.append(heads[coin.number])
        self.of_venues.append(heads[venue.number])
        for track in (coin, venue):
            number = track.number
            heads[number] = index
            # As `climb_late` does, for the newest second; written out, for here is where the time goes.
            last = lasts[number]
            if minus > tops[number] and second == last:
                continue
            stairs = track.stairs
            if second < last:
                climb_late(stairs, step)
                tops[number] = stairs[-1][1]
                continue
            while stairs and (stairs[-1][1] > minus or (stairs[-1][1] == minus and stairs[-1][2] > event_id)):
                stairs.pop()
            if stairs and second == last and stairs[-1][0] == second:
                continue
            stairs.append(step)
            tops[number] = minus
            lasts[number] = second

    def since(self, track: "Track", known: int) -> list[tuple[int, int]]:
        """Second and minus the micro-dollars of the track's events after number `known`, as far as kept; sorted."""
        found = []
        first, kept, before = self._first, len(self._seconds), track.before
        index = self.heads[track.number]
        while index != known:
            at = index - first & _WRAP
            if at >= kept:
                break
            found.append((self._seconds[at], self._minus[at]))
            index = before[at]
        found.sort()
        return found

    def forget_until(self, second: int) -> None:
        """Frees the events at the front up to `second`, once they are a sixteenth: the rest has to be moved for it."""
        seconds = self._seconds
        if not seconds or seconds[len(seconds) // 16] > second:
            return
        gone = next((at for at, kept in enumerate(seconds) if kept > second), len(seconds))
        if gone * 16 >= len(seconds):
            del seconds[:gone], self._minus[:gone], self.of_coins[:gone], self.of_venues[:gone]
            self._first = self._first + gone & _WRAP


class Sum:
    """What tracks add up to in one window."""

    __slots__ = ("events", "largest", "usd")

    def __init__(self) -> None:
        self.usd = 0
        self.events = 0
        self.largest: Step | None = None


class Track:
    """One side of a venue, or of a coin at a venue: running totals, one entry for each second in which something came.

    Any window that ends now is a difference of two entries, found by bisection. So nothing has to be done when
    events leave a window, and five windows cost no more than one. The totals run round at 2^64 micro-dollars: only
    differences are used, and those are right below 18 trillion USD.
    """

    __slots__ = ("_counts", "_journal", "_known", "_seconds", "_sums", "before", "number", "stairs")

    def __init__(self, journal: Journal, before: "array[int]") -> None:
        self._journal = journal
        self.number = journal.new_track()
        self.before = before  # the journal's column for tracks of this kind
        self.stairs: list[Step] = []  # the candidates for the largest record
        self._known = journal.heads[self.number]
        # The first entry stands for all that came before the second one.
        self._seconds = array("I", (0,))
        self._counts = array("I", (0,))
        self._sums = array("Q", (0,))

    def after(self, second: int) -> tuple[int, int]:
        """Micro-dollars and number of the events after `second`."""
        if self._journal.heads[self.number] != self._known:
            self._catch_up()
        seconds = self._seconds
        if seconds[-1] <= second:
            return 0, 0
        before = bisect_right(seconds, second) - 1
        return self._sums[-1] - self._sums[before] & _USD, self._counts[-1] - self._counts[before] & _WRAP

    def between(self, first: int, last: int) -> tuple[int, int]:
        """Micro-dollars and number of the events of the seconds from `first` to `last`."""
        if self._journal.heads[self.number] != self._known:
            self._catch_up()
        seconds = self._seconds
        before = bisect_left(seconds, first) - 1
        upto = bisect_right(seconds, last) - 1
        return self._sums[upto] - self._sums[before] & _USD, self._counts[upto] - self._counts[before] & _WRAP

    def add_to(self, sums: list["Sum"], after: Sequence[int]) -> None:
        """Adds to each sum the events after the second that stands at its place."""
        if self._journal.heads[self.number] != self._known:
            self._catch_up()
        seconds, stairs = self._seconds, self.stairs
        last = seconds[-1]
        usd, count = self._sums[-1], self._counts[-1]
        for one, second in zip(sums, after, strict=True):
            if last <= second:
                continue
            before = bisect_right(seconds, second) - 1
            one.usd += usd - self._sums[before] & _USD
            one.events += count - self._counts[before] & _WRAP
            step = stairs[0] if stairs[0][0] > second else largest_after(stairs, second)
            if step is not None and (one.largest is None or beats(step, one.largest)):
                one.largest = step

    def forget_until(self, second: int) -> None:
        """Frees what no window reaches any more, once it is an eighth: the rest has to be moved for it."""
        forget_until(self.stairs, second)
        seconds = self._seconds
        if seconds[len(seconds) // 8] <= second:
            gone = bisect_right(seconds, second) - 1
            if gone > 0:
                del seconds[:gone], self._counts[:gone], self._sums[:gone]

    def _catch_up(self) -> None:
        seconds, counts, sums = self._seconds, self._counts, self._sums
        last, count, total = seconds[-1], counts[-1], sums[-1]
        for second, minus in self._journal.since(self, self._known):
            count = count + 1 & _WRAP
            total = total - minus & _USD
            if second > last:
                last = second
                seconds.append(second)
                counts.append(count)
                sums.append(total)
            elif second == last:
                counts[-1] = count
                sums[-1] = total
            else:
                self._insert(second, minus)
        self._known = self._journal.heads[self.number]

    def _insert(self, second: int, minus: int) -> None:
        seconds, counts, sums = self._seconds, self._counts, self._sums
        at = bisect_right(seconds, second)
        if seconds[at - 1] == second:
            at -= 1
        else:
            seconds.insert(at, second)
            counts.insert(at, counts[at - 1])
            sums.insert(at, sums[at - 1])
        for later in range(at, len(seconds)):
            counts[later] = counts[later] + 1 & _WRAP
            sums[later] = sums[later] - minus & _USD
