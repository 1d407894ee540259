"""The faults, in the order of the table: one file for each family."""

from ..fault import Fault
from . import broker, chat, clock, killed, reload, two

FAULTS: tuple[Fault, ...] = (*killed.FAULTS, *two.FAULTS, *chat.FAULTS, *broker.FAULTS, *clock.FAULTS, *reload.FAULTS)
