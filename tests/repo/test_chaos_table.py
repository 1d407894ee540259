"""The README's table of faults is the one that `make chaos` has written."""

from chaos.faults import FAULTS
from chaos.page import RESULTS, short
from tests.support.repository import ROOT


def test_the_readme_shows_what_the_last_whole_run_has_found() -> None:
    rows = short(RESULTS.read_text())
    assert rows[2:]
    assert [] == [row for row in rows if row not in (ROOT / "README.md").read_text().splitlines()]


def test_every_fault_has_its_row() -> None:
    rows = short(RESULTS.read_text())[2:]
    assert [fault.title for fault in FAULTS] == [row.split("|")[1].strip() for row in rows]


def test_a_row_is_cut_to_what_matters() -> None:
    row = "| A fault | 4 (3) | 36 | 0 | 5 | 1 | 2 (2) | 8 | 3 | 7 | n/a | – | – | – |"
    assert "| A fault | 4 | 0 of 36 | 4 | 1 | 3 of 8 | 7 | n/a | n/a |" == short(row)[2]
