"""The pages about outlines, single objects and boxes: self-contained HTML."""

from aegle.evaluation.box_report import BoxEvaluation
from aegle.evaluation.box_sections import box_chapters, box_tiles
from aegle.evaluation.object_report import ObjectEvaluation
from aegle.evaluation.object_sections import object_chapters, object_tiles
from aegle.evaluation.outline_report import OutlineEvaluation
from aegle.evaluation.outline_sections import outline_chapters, outline_tiles
from aegle.evaluation.page import document


def outline_page(evaluation: OutlineEvaluation | ObjectEvaluation | BoxEvaluation) -> str:
    """Return an evaluation as HTML text; the same evaluation gives the same text.

    Pictures are those that the evaluation kept; where images were given without pixels there are
    none.
    """
    if isinstance(evaluation, OutlineEvaluation):
        return document(evaluation.about, outline_tiles(evaluation), outline_chapters(evaluation))
    if isinstance(evaluation, ObjectEvaluation):
        return document(evaluation.about, object_tiles(evaluation), object_chapters(evaluation))
    return document(evaluation.about, box_tiles(evaluation), box_chapters(evaluation))
