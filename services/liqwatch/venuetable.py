"""The table of venues that `liqwatch venues` prints and the README shows."""

from typing import Any

from . import venues


def as_objects() -> list[dict[str, Any]]:
    """One object per venue, by name."""
    return [
        {
            "venue": venue.name,
            "title": venue.title,
            "completeness": venue.completeness,
            "completeness_note": venue.completeness_note,
            "side_rule": venue.side_rule,
            "price_kind": venue.price_kind,
            "unit": venue.unit,
            "docs": venue.docs,
            "checked": venue.checked,
            "enabled_by_default": venue.enabled_by_default,
            "feeds": [feed.url for feed in venue.feeds],
            "doubts": venue.doubts,
        }
        for venue in venues.discover().values()
    ]


def as_table() -> str:
    """A Markdown table and the doubts: readable in a terminal, pasted into the README as it is."""
    rows = [("venue", "complete", "what comes", "side", "price", "docs", "checked")]
    for venue in venues.discover().values():
        name = venue.name if venue.enabled_by_default else f"{venue.name} (off)"
        rows.append(
            (
                name,
                venue.completeness,
                venue.completeness_note,
                venue.side_rule,
                venue.price_kind,
                venue.docs,
                venue.checked,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    off = [venue for venue in venues.discover().values() if not venue.enabled_by_default]
    if off:
        lines += ["", "Off until the settings enable them:", ""]
        lines += [f"- {venue.name}: {venue.doubts}" for venue in off]
    return "\n".join(lines)
