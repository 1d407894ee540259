"""Amounts as people read them, the same wherever they are shown. Pure."""

DOLLAR = 1_000_000  # micro-dollars


def money(usd: int) -> str:
    """Micro-dollars as `$1.71B`, `$85.9M`, `$12,400`: three digits from a million on, cut off, not rounded."""
    dollars = max(usd, 0) // DOLLAR
    for suffix, power in (("T", 12), ("B", 9), ("M", 6)):
        if dollars >= 10**power:
            whole = dollars // 10**power
            places = max(0, 3 - len(str(whole)))
            part = dollars * 10**places // 10**power - whole * 10**places
            return f"${whole}.{part:0{places}d}{suffix}" if places else f"${whole}{suffix}"
    return f"${dollars:,}"


def counted(number: int, one: str, more: str = "") -> str:
    """`1 step`, `2 steps`; `more` where that is not `one` with an s."""
    return f"{number} {one if number == 1 else more or one + 's'}"
