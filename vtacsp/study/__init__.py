"""The study: how searches compare on recorded RTL cycles, and why.

``validity`` describes the spaces, ``model`` what invalid configurations do to a cost model,
``search`` how many measurements each method needs; ``run`` does it all, resumable, and
``report`` writes it down.
"""

from vtacsp.moved import keep_old_names
from vtacsp.study.cost_model import Training, judge
from vtacsp.study.execution import PARTS, Study
from vtacsp.study.markdown import write_report
from vtacsp.study.recorded_layer import StudyLayer, prepare
from vtacsp.study.search_cost import METHODS, Method, Outcome, run_search
from vtacsp.study.tables import recorded_cycles
from vtacsp.study.validity import Validity, validity

__all__ = [
    "METHODS",
    "PARTS",
    "Method",
    "Outcome",
    "Study",
    "StudyLayer",
    "Training",
    "Validity",
    "judge",
    "prepare",
    "recorded_cycles",
    "run_search",
    "validity",
    "write_report",
]

keep_old_names(__name__)
