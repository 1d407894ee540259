"""Faults on purpose: the real alerter killed, frozen, cut off and misled, and what of its alerts arrived.

`make chaos` runs every fault against liqwatch and against Debian's Alertmanager, and writes RESULTS.md.
"""
