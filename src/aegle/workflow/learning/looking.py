"""What is wrong with images before anything is learned from them."""

from aegle.learning.samples import SampleSet
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.learning.recipe import Recipe
from aegle.workflow.stage import Progress


def looked(
    samples: SampleSet, recipe: Recipe, folder: CaseFolder, progress: Progress
) -> tuple[str, ...]:
    """Write what was found, and return the names of images to leave out."""
    return ()
