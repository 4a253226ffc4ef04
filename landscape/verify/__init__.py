"""Whether a run can be believed: ``python -m landscape.verify RUN``.

`report` is what is said, `files` what lies in the folder, `origin` settings and provenance,
`points` what is computed again, `run` all of it. Without torch until a run is there to look at.
"""

from landscape.verify.report import Finding, Report, Result, table

__all__ = ["Finding", "Report", "Result", "table"]
