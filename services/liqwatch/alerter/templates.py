"""The forms of words that targets are told in: `long` and `compact`, which come with the program, and a desk's own.

A template's first line is the headline, the rest the text. `values.py` says what it sees. The record always has the
words of the long form: they are what is told where a template fails, so that none ever costs an alert.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from unicodedata import category

import structlog

from ..crosschecks import FORMS
from ..events import Words
from ..rulesettings import RuleSettings
from ..settings import TargetSettings, TemplateSettings
from .samples import steps
from .sandbox import Compiled, Overdone, Sandbox, TemplateError, where
from .text import Snapshot, Story
from .values import FILTERS, values

LONG = "long"  # the words that stand in the record
LONGEST_HEADLINE = 300
_OWN = Path(__file__).with_name("templates")
_KINDS_OF_MARKS = ("Cc", "Cf", "Cs", "Co", "Cn")  # control, steering and unassigned characters
_JOINER = "\u200d"  # holds the parts of some emoji together

log_ = structlog.get_logger("alerter")


def built_in(form: str) -> str:
    """The template of a form that comes with the program."""
    return (_OWN / f"{form}.j2").read_text(encoding="utf-8")


class TemplateFailed(Exception):
    """A template made no words of this step; the text says why."""


class Template:
    """One form of words. Raises `TemplateError` where `mistakes` would have told something."""

    def __init__(self, source: str, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._compiled: Compiled = sandbox.compiled(source)

    def words(self, rule: RuleSettings, snapshot: Snapshot, story: Story | None) -> Words:
        """Headline and text. Raises `TemplateFailed`."""
        try:
            text = self._sandbox.text(self._compiled, values(rule, snapshot, story))
        except Exception as error:  # whatever an author's expression leads to
            raise TemplateFailed(f"{where(error)}{_reason(error)}") from None
        lines = [line.rstrip() for line in _plain(text).splitlines()]
        lines = [line for index, line in enumerate(lines) if line or (index and lines[index - 1])]  # no two empty ones
        while lines and not lines[0]:
            del lines[0]
        if not lines:
            raise TemplateFailed("it says nothing")
        headline, *rest = lines
        if len(headline) > LONGEST_HEADLINE:
            headline = headline[: LONGEST_HEADLINE - 1] + "…"
        return Words(headline=headline, text="\n".join(rest).strip("\n"))


class Forms:
    """The forms in use. `on_failure` is told the name of a form whose template failed."""

    def __init__(
        self,
        targets: Mapping[str, TargetSettings],
        templates: Mapping[str, TemplateSettings],
        on_failure: Callable[[str], None] = lambda form: None,
    ) -> None:
        self._on_failure = on_failure
        self._failed: set[tuple[str, str]] = set()
        self.use(targets, templates)

    def use(self, targets: Mapping[str, TargetSettings], templates: Mapping[str, TemplateSettings]) -> None:
        """Other targets and templates."""
        sandbox = Sandbox(FILTERS)
        self._of = {name: target.form for name, target in targets.items()}
        self._failed.clear()
        self._templates: dict[str, Template] = {}
        for form in sorted(set(self._of.values()) - {LONG}):
            source = built_in(form) if form in FORMS else templates[form].text if form in templates else None
            try:
                if source is not None:
                    self._templates[form] = Template(source, sandbox)
            except (TemplateError, RecursionError, SyntaxError, MemoryError, ValueError, OverflowError) as error:
                self._tell(form, _reason(error))

    def words(
        self, targets: Iterable[str], rule: RuleSettings, snapshot: Snapshot, story: Story | None
    ) -> dict[str, Words]:
        """What the step says in each form that one of the targets wants, beside the long one. Never raises."""
        wanted = {self._of.get(target, LONG) for target in targets}
        made = {}
        for form in sorted(wanted & self._templates.keys()):
            try:
                made[form] = self._templates[form].words(rule, snapshot, story)
            except TemplateFailed as error:
                self._tell(form, str(error))
        return made

    def _tell(self, form: str, reason: str) -> None:
        self._on_failure(form)
        if (form, reason) not in self._failed and len(self._failed) < 100:
            self._failed.add((form, reason))
            log_.error("a template failed, the long form is told instead", form=form, reason=reason)


def mistakes(source: str) -> list[str]:
    """What is wrong with a template: sentences with their lines. It is tried on several made-up steps."""
    sandbox, tried = Sandbox(FILTERS), list(steps())
    found = sandbox.mistakes(source, values(*tried[0]))
    if found:
        return found
    template = Template(source, sandbox)
    reasons: dict[str, str] = {}
    for rule, snapshot, story in tried:
        try:
            template.words(rule, snapshot, story)
        except TemplateFailed as error:
            reasons.setdefault(str(error), f"{error} (where a rule of kind {rule.kind} has {snapshot.kind})")
    return list(reasons.values())


def _reason(error: BaseException) -> str:
    if isinstance(error, Overdone | TemplateError):
        what = str(error.args[0]) if error.args else "it cannot be used"
        return what.replace("'dict object' has no attribute", "there is no")
    return f"{type(error).__name__}: {error}"[:200]


def _plain(text: str) -> str:
    """Without whatever is no letter, mark or space: nothing steers a terminal, turns a line round, or hides."""
    return "".join(mark for mark in text if mark in ("\n", _JOINER) or category(mark) not in _KINDS_OF_MARKS)
