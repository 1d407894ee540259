"""A template engine that cannot hurt: Jinja2's sandbox, less whatever can grow, loop for long, or reach out. Pure.

A template is checked before it is used: only what is listed here may stand in it. What it does is counted while it
runs, so that an endless or huge one ends with an error, after the same number of steps on every machine. What comes
out is plain text: escaping it is up to whoever hands it on, and does so for every chat in its own way.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, Undefined, meta, nodes
from jinja2 import Template as Compiled
from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS
from typing_extensions import override

from ..spelling import did_you_mean

LONGEST_TEMPLATE = 8_192  # characters
LONGEST_TEXT = 4_000  # characters that come out; a chat takes about as many
# Nodes of what loops repeat, operations, prints, and items and characters that filters and tests go through. So many
# take a few hundredths of a second at the very most.
STEPS = 10_000
_OWN_FILTER_STEPS = 20  # of a filter that is none of Jinja2's: time zones are read from files
_COMPARED_AT_ONCE = 2  # characters or items, by one step
_LARGEST_NUMBER = 10**18
_MOST_PLACES = 12
_LONGEST_RANGE = 1_000
_FILTERS = (
    "abs", "capitalize", "default", "first", "float", "int", "join", "last", "length", "lower", "map", "max", "min",
    "reject", "rejectattr", "replace", "round", "select", "selectattr", "sort", "sum", "title", "trim", "truncate",
    "unique", "upper",
)  # fmt: skip
# Filters that go through the parts of an attribute's name for each item.
_BY_ATTRIBUTE = frozenset(("join", "map", "max", "min", "rejectattr", "selectattr", "sort", "sum", "unique"))
_TESTS = (
    "defined", "undefined", "none", "even", "odd", "divisibleby", "eq", "equalto", "ne", "lt", "lessthan", "le", "gt",
    "greaterthan", "ge", "in", "number", "string", "true", "false",
)  # fmt: skip
_NODES: tuple[type[nodes.Node], ...] = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.If, nodes.For, nodes.Assign,
    nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand, nodes.CondExpr,
    nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv,
    nodes.Mod, nodes.Keyword, nodes.Call,
)  # fmt: skip
_INSTEAD: dict[type[nodes.Node], str] = {
    nodes.Concat: "~ is not for templates here: write the pieces one after the other",
    nodes.Pow: "** is not for templates here",
}
_ROOT = "<template>"  # how Jinja2 names the template in a traceback
_COUNTED = "counted loop"  # names of filters that no template can write
_WEIGHED = "weighed operand"
_TOO_LARGE = "a number that is too large"


class Overdone(Exception):
    """A template does, or prints, more than a message can want; or prints what is no text."""


class Sandbox(ImmutableSandboxedEnvironment):
    """Compiles and renders. Not for several threads at once: what a rendering has left to do is kept here."""

    intercepted_binops = frozenset(("+", "-", "*", "/", "//", "%"))

    def __init__(self, filters: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(
            autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, optimized=False,
            finalize=self._printed, cache_size=0,
        )  # fmt: skip
        self._left = STEPS
        self.globals = {"range": self._range}
        self.tests = {name: self._counted_test(TESTS[name]) for name in _TESTS}
        own = {"round": _round}
        self.filters = {name: self._counted(own.get(name, FILTERS[name]), name in _BY_ATTRIBUTE) for name in _FILTERS}
        self.filters |= {name: self._counted(one, steps=_OWN_FILTER_STEPS) for name, one in filters.items()}
        self.names = frozenset(self.filters)
        self.filters |= {_COUNTED: self._turns, _WEIGHED: self._weighed}

    def mistakes(self, source: str, known: Iterable[str]) -> list[str]:
        """What is wrong with a template that sees the variables `known`: sentences, each beginning with its line."""
        if len(source) > LONGEST_TEMPLATE:
            return [f"it is longer than {LONGEST_TEMPLATE:,} characters"]
        try:
            tree = self.parse(source)
            found = {*_forbidden(tree, self.names, self.tests), *_unknown(tree, known)}
            if not found:
                self.compiled(source)
        except TemplateSyntaxError as error:
            return [f"line {error.lineno}: {error.message}"]
        except (RecursionError, SyntaxError, MemoryError):  # of Python, which the template is translated to
            return ["it is nested too deeply"]
        except (ValueError, OverflowError):  # Python reads 4,300 digits and no more
            return ["it has a number that is too large"]
        return [f"line {line}: {what}" for line, what in sorted(found)]

    def compiled(self, source: str) -> Compiled:
        """A template to be rendered; `mistakes` was asked before. Raises what `mistakes` catches."""
        self._left = STEPS  # compiling works out what is constant
        tree = self.parse(source)
        loops = [(loop, _repeated(loop)) for loop in tree.find_all(nodes.For)]
        for compared in list(tree.find_all(nodes.Compare)):
            compared.expr = self._through(_WEIGHED, compared.expr)
            for operand in compared.ops:
                operand.expr = self._through(_WEIGHED, operand.expr)
        for loop, steps in loops:
            loop.iter = self._through(_COUNTED, loop.iter, steps)
        code = self.compile(tree, filename=_ROOT)
        return Compiled.from_code(self, code, self.globals)

    def text(self, template: Compiled, values: Mapping[str, Any]) -> str:
        """What the template makes of the values; cut where it is too long. Raises `Overdone`, `TemplateError`, and
        whatever an operator or filter raises at values that it was not made for."""
        self._left = STEPS
        parts: list[str] = []
        size = 0
        for part in template.generate(values):
            parts.append(part)
            size += len(part)
            if size > LONGEST_TEXT:
                break
        text = "".join(parts)
        return text if size <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"

    def _use(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise Overdone(f"it takes more than {STEPS:,} steps")

    def _through(self, name: str, value: Any, *args: object) -> nodes.Filter:
        """The value, passed through one of the filters that no template can write."""
        consts = [nodes.Const(one, lineno=value.lineno) for one in args]
        passed = nodes.Filter(value, name, consts, [], None, None, lineno=value.lineno)
        passed.set_environment(self)
        return passed

    def _turns(self, items: Iterable[Any], steps: int) -> Iterator[Any]:
        """What a loop runs over; each turn takes so many steps as it has nodes."""
        self._use(1)
        for item in items:
            self._use(steps)
            yield item

    def _weighed(self, value: Any) -> Any:
        """What is compared: a step for a few characters or items of it."""
        self._use(1 + _size(value) // _COMPARED_AT_ONCE)
        return value

    def _range(self, *bounds: int) -> range:
        numbers = range(*bounds)
        if len(numbers) > _LONGEST_RANGE:
            raise Overdone(f"a range of more than {_LONGEST_RANGE:,}")
        self._use(1)
        return numbers

    def _counted(self, filter_: Callable[..., Any], by_attribute: bool = False, steps: int = 1) -> Callable[..., Any]:
        """A filter whose work is counted, and that gives back nothing endless and nothing huge."""
        at = 1 if hasattr(filter_, "jinja_pass_arg") else 0

        @wraps(filter_)
        def counted(*args: Any, **named: Any) -> Any:
            value, *others = (*args[at:], *named.values())
            parts = [one.count(".") + one.count(",") for one in others if by_attribute and isinstance(one, str)]
            self._use(steps + _size(value) * (1 + max(parts, default=0)) + sum(map(_size, others)))
            answer = filter_(*args, **named)
            return _bounded(list(answer) if isinstance(answer, Iterator) else answer)

        return counted

    def _counted_test(self, test: Any) -> Callable[..., Any]:
        @wraps(test)
        def counted(*args: Any) -> Any:
            self._use(1 + sum(map(_size, args)) // _COMPARED_AT_ONCE)
            return test(*args)

        return counted

    def _printed(self, value: Any) -> str:
        """Text and numbers are printed; of anything else it is better to know than to send it."""
        self._use(1)
        if isinstance(value, bool) or not isinstance(value, str | int | float | Undefined):
            kind = {"NoneType": "nothing", "bool": "yes or no", "list": "a list", "dict": "a group of values"}
            raise Overdone(f"cannot print {kind.get(type(value).__name__, type(value).__name__)}")
        return _bounded(str(value))  # type: ignore[no-any-return]

    @override
    def is_safe_callable(self, obj: Any) -> bool:
        return bool(obj == self._range)

    @override
    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        self._use(1)
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            return _bounded(left + right)
        for one in (left, right):
            if isinstance(one, Undefined):
                str(one)  # raises
            if not isinstance(one, int | float):
                raise Overdone(f"{operator} is for numbers")
            if abs(one) > _LARGEST_NUMBER:
                raise Overdone(_TOO_LARGE)
        return super().call_binop(context, operator, left, right)


def where(error: Exception) -> str:
    """`line 3: ` of an error that a rendering has raised; empty where no line is known."""
    lines = []
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == _ROOT:
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f"line {lines[-1]}: " if lines else ""


def _round(value: Any, precision: Any = 0, method: Any = "common") -> Any:
    """Jinja2's filter, which takes any precision: the number is multiplied by as great a power of ten."""
    if not isinstance(precision, int) or not 0 <= precision <= _MOST_PLACES:
        raise Overdone(f"round takes 0 to {_MOST_PLACES} places")
    return FILTERS["round"](value, precision, method)


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            raise Overdone(f"a text or list longer than {LONGEST_TEXT:,}")
    elif isinstance(value, list | tuple):
        if len(value) > LONGEST_TEXT or _size(value) > STEPS:
            raise Overdone(f"a text or list longer than {LONGEST_TEXT:,}")
    elif isinstance(value, int) and abs(value) > _LARGEST_NUMBER:
        raise Overdone(_TOO_LARGE)
    return value


def _size(value: Any) -> int:
    """Characters and items, also of lists in a list: what anything done to the value may go through. More than `STEPS`
    is not told apart."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, Sequence):
        return 0
    elif isinstance(value, range):
        return len(value)
    size = 0
    for item in value:
        size += 1 + _size(item)
        if size > STEPS:
            break
    return size


def _repeated(loop: nodes.For) -> int:
    """How many nodes each turn of a loop has, without those that loops in it repeat."""
    once = [*loop.body, loop.target, *([] if loop.test is None else [loop.test])]
    return sum(map(_nodes_once, once))


def _nodes_once(node: nodes.Node) -> int:
    inner = [node.iter, *node.else_] if isinstance(node, nodes.For) else node.iter_child_nodes()
    return 1 + sum(map(_nodes_once, inner))


def _forbidden(tree: nodes.Template, filters: Iterable[str], tests: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Line and sentence of everything that may not stand in a template."""
    for node in _all(tree):
        if isinstance(node, nodes.Call) and not (isinstance(node.node, nodes.Name) and node.node.name == "range"):
            yield node.lineno, "only range(…) can be called; everything else is a filter, such as {{ now | at }}"
        elif isinstance(node, nodes.For) and node.recursive:
            yield node.lineno, "a loop cannot be recursive"
        elif isinstance(node, nodes.Filter) and node.name not in filters:
            yield node.lineno, f"there is no filter {node.name!r}{did_you_mean(node.name, filters)}"
        elif isinstance(node, nodes.Test) and node.name not in tests:
            yield node.lineno, f"there is no test {node.name!r}{did_you_mean(node.name, tests)}"
        elif isinstance(node, nodes.List | nodes.Tuple):
            is_target = isinstance(node, nodes.Tuple) and node.ctx == "store"
            if not is_target and not all(isinstance(item, nodes.Const) for item in node.items):
                yield node.lineno, "a list can only be one of plain words or numbers"
        elif isinstance(node, nodes.Const) and isinstance(node.value, int) and node.value > _LARGEST_NUMBER:
            yield node.lineno, _TOO_LARGE
        elif not isinstance(node, _NODES):
            name = type(node).__name__.lower()
            yield node.lineno, _INSTEAD.get(type(node), f"{name!r} is not for templates here")


def _unknown(tree: nodes.Template, known: Iterable[str]) -> Iterator[tuple[int, str]]:
    names = meta.find_undeclared_variables(tree) - {*known, "range"}
    for node in tree.find_all(nodes.Name):
        if node.name in names and node.ctx == "load":
            yield node.lineno, f"there is no variable {node.name!r}{did_you_mean(node.name, known)}"


def _all(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _all(child)


__all__ = ["LONGEST_TEXT", "Compiled", "Overdone", "Sandbox", "TemplateError", "where"]
