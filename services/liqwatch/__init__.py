"""liqwatch: forced liquidations on crypto derivatives venues, added up by side, told in chat."""

__version__ = "0.1.0"
