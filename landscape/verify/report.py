"""What a verification says: findings, one line each, and whether all hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from zarts.text import printable

__all__ = ["Finding", "Report", "Result", "judged", "table"]

LONGEST = 400  # characters of a detail: what stands in a file may be any length


class Result(StrEnum):
    """How a check ended."""

    OK = "ok"
    NOTE = "note"  # holds, and there is something to know
    UNCHECKED = "unchecked"  # could not be looked at; says why
    FAIL = "FAIL"


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        check: What was looked at.
        result: How it ended.
        detail: One line for people.
    """

    check: str
    result: Result
    detail: str


@dataclass(frozen=True)
class Report:
    """All findings of one run, or of one of its records.

    Attributes:
        path: The folder or file.
        findings: In the order of the checks.
        content_hash: Of the run; empty if it was not, or could not be, taken.
    """

    path: str
    findings: tuple[Finding, ...]
    content_hash: str = ""

    @property
    def code(self) -> int:
        """Exit code: 0 all hold, 1 a check fails, 2 a check could not be made."""
        results = {finding.result for finding in self.findings}
        return 1 if Result.FAIL in results else 2 * (Result.UNCHECKED in results)


def judged(check: str, problems: Iterable[str], good: str) -> Finding:
    """FAIL with the problems, or ok with ``good`` if there are none."""
    found = list(problems)
    if not found:
        return Finding(check, Result.OK, good)
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    return Finding(check, Result.FAIL, "; ".join(found[:3]) + more)


def table(report: Report) -> list[str]:
    """The findings as lines of aligned columns: check, result, detail."""
    lines = [("check", "result", "detail")]
    lines += [(each.check, each.result, _short(each.detail)) for each in report.findings]
    return _aligned(lines)


def _aligned(lines: Sequence[tuple[str, str, str]]) -> list[str]:
    first, second = (max(len(line[column]) for line in lines) for column in (0, 1))
    return [f"{a:<{first}}  {b:<{second}}  {c}".rstrip() for a, b, c in lines]


def _short(text: str) -> str:
    line = " ".join(printable(text).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
