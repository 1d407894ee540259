"""What every table of the settings is made of: strict frozen models, durations, amounts and shares. Pure."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from .spelling import parse_duration, parse_money, parse_percent

Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Usd = Annotated[Decimal, BeforeValidator(parse_money)]
Percent = Annotated[Decimal, BeforeValidator(parse_percent)]


class Section(BaseModel):
    """A table of the settings: unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
