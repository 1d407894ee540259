"""Numbers and times as a person reads them. Pure."""


def money(micro_dollars: int) -> str:
    """`$1.71B`, `$85.9M`, `$12.4K`, `$950`: three figures, rounded down so that no threshold is shown early."""
    dollars = micro_dollars // 1_000_000
    for suffix, scale in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if dollars >= scale:
            hundredths = dollars * 100 // scale
            whole, rest = divmod(hundredths, 100)
            text = f"{whole}.{rest:02d}" if whole < 10 else f"{whole}.{rest // 10}" if whole < 100 else f"{whole:,}"
            return f"${text}{suffix}"
    return f"${dollars}"


def share(part: int, whole: int) -> str:
    """`86 %`, or a dash of nothing."""
    return f"{part * 100 // whole} %" if whole else "–"


def ago(then_ms: int | None, now_ms: int) -> str:
    """`now`, `12 s ago`, `3 min ago`, `2.1 h ago`."""
    if not then_ms:
        return "–"
    seconds = max(0, now_ms - then_ms) / 1000
    if seconds < 2:
        return "now"
    if seconds < 120:
        return f"{seconds:.0f} s ago"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min ago"
    return f"{seconds / 3600:.1f} h ago"


def until(then_ms: int | None, now_ms: int) -> str:
    """`in 12 s`, for the next try."""
    return "" if then_ms is None else f"next try in {max(0, then_ms - now_ms) / 1000:.0f} s"
