"""The long fuzzing of `make fuzz`: atheris, guided by coverage, over every venue. See `__main__.py`."""
