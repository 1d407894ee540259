"""The rules on the past: with the judgement, memory and words of the alerter, asked when an answer may change. Pure.

`judging.py` is the way in. It asks the pairs of a rule and a scope that an event concerns (`pairs.py`); most are judged
by totals (`figures.py`) or single orders (`orders.py`), some by what an alerter would have read before (`past.py`).
What comes of it is told in `incidents.py`.
"""
