"""The interactive report: one HTML page that needs no other file, no network and no rights.

`build.py` puts it together: sections and tables as HTML, which a reader without JavaScript has too, and as
JSON what the scripts in `static/` draw (`views.py`) and show of single runs (`runs.py`).
"""

from tuneoff.reporting.methods import Description
from tuneoff.reporting.page.answers import Answer, TaskAnswers
from tuneoff.reporting.page.build import Part, pages, parts, policy, rendered
from tuneoff.reporting.page.how import How
from tuneoff.reporting.page.views import PageView

__all__ = [
    "Answer",
    "Description",
    "How",
    "PageView",
    "Part",
    "TaskAnswers",
    "pages",
    "parts",
    "policy",
    "rendered",
]
