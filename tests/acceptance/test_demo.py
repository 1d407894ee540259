"""The demo: a crash day on simulated venues fires, steps up and clears by itself, and asks nobody else anything."""

import asyncio
from pathlib import Path

from liqwatch.simulator import on_by_default
from tests.support.program import running

SPEED = 2400  # a third more than its own
LIMIT = 110.0


async def test_the_demo_fires_steps_up_clears_and_ends(tmp_path: Path) -> None:
    async with running(["demo", "--speed", str(SPEED)], tmp_path) as demo:
        assert 0 == await asyncio.wait_for(demo.process.wait(), LIMIT), demo.stderr
        lines = [line for line in demo.stdout.splitlines() if " longs liquidated in 24 hours" in line]
        assert "is down" not in demo.stderr  # every venue that is asked is on this machine
        watched = len(on_by_default())
        assert f"venues {watched}/{watched}" in demo.stdout
    told = "\n".join(lines)  # a busy machine leaves steps out: it says only the highest of those passed
    assert ", past $" in lines[0], told
    assert "now past $10B" in told
    assert lines[-1].startswith("[critical] Cleared: longs liquidated in 24 hours back under $900M"), told
