"""Shares and times as a person reads them. Pure."""


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
