"""Venue servers on 127.0.0.1 that speak the venues' protocols and play scenarios: for the demo and the tests."""

from .player import Simulator
from .scenarios import NAMES, Scenario
from .serving import on_by_default, serve
from .venue_server import Origins

__all__ = ["NAMES", "Origins", "Scenario", "Simulator", "on_by_default", "serve"]
