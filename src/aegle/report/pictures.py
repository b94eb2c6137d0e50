"""One picture of a whole case: what was found, what is planned, how it goes on."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aegle.domain.case import CaseResults
from aegle.report.charts import plot_trend
from aegle.report.dose_pictures import dose_slice
from aegle.report.drawing import DPI, Scene, draw_on, font, pixels_of, png
from aegle.report.files import write_whole
from aegle.report.find import findings_of, subject_of
from aegle.report.follow import chart_visits
from aegle.report.language import Language, Words, words
from aegle.report.planes import Plane
from aegle.report.shades import Palette, plain_grey
from aegle.report.slices import native_view, slice_of
from aegle.report.treatment import planned_of

OVERVIEW_PIXELS = (1800, 600)
TOP, HEIGHT = 0.86, 0.80
PANELS = ((0.008, 0.322), (0.338, 0.322), (0.715, 0.275))
"""Left edge and width of find, plan and follow-up, as parts of the whole."""


def overview(results: CaseResults, path: Path, *, language: Language = "en") -> Path:
    """Write one wide PNG with the largest lesion, the dose and the lesions over time.

    Args:
        results: All that is known about the case.
        path: File to write; replaced if it is there.
        language: Language of the reader.

    Returns:
        The path.

    Raises:
        OptionError: The language is unknown.
    """
    told = words(language)
    figure = Figure(figsize=(OVERVIEW_PIXELS[0] / DPI, OVERVIEW_PIXELS[1] / DPI), dpi=DPI)
    _find(figure, results, told)
    _plan(figure, results, told)
    _follow(figure, results, told)
    return write_whole(path, png(pixels_of(figure), colours=256))


def _panel(figure: Figure, number: int, title: str, *, height: float = HEIGHT) -> Axes:
    left, width = PANELS[number]
    figure.text(
        left, 0.93, title, fontproperties=font(title, 17), color="#1d2730", parse_math=False
    )
    return figure.add_axes((left, TOP + 0.03 - height, width, height))


def _draw(axes: Axes, scene: Scene) -> None:
    width = PANELS[0][1] * OVERVIEW_PIXELS[0]
    axes.set_facecolor("black")
    draw_on(axes, scene, width / (HEIGHT * OVERVIEW_PIXELS[1]))


def _say(axes: Axes, words_: str) -> None:
    axes.set_axis_off()
    axes.text(
        0.5,
        0.5,
        words_,
        wrap=True,
        horizontalalignment="center",
        transform=axes.transAxes,
        fontproperties=font(words_, 13),
        color="#5a6774",
        parse_math=False,
    )


def _find(figure: Figure, results: CaseResults, told: Words) -> None:
    axes = _panel(figure, 0, told("Find"))
    scene = _first_scene(results)
    if scene is None:
        _say(axes, told("There is no visit to show."))
    else:
        _draw(axes, scene)


def _first_scene(results: CaseResults) -> Scene | None:
    """Return the slice through the largest lesion of all visits, or any picture there is."""
    visits = results.examinations.visits
    lesions = [(v, i) for v in range(len(visits)) for i in findings_of(results, v).lesions]
    if lesions:
        visit, lesion = max(lesions, key=lambda item: item[1].diameters.longest_mm)
        image = visits[visit].image(lesion.image)
        plane = native_view(image).plane
        return slice_of(subject_of(results, visit, image), plane, Palette(results)).scene
    for number, visit_ in enumerate(visits):
        for image in visit_.images:
            plane = native_view(image).plane
            return slice_of(subject_of(results, number, image), plane, Palette(results)).scene
        for projection in visit_.projections:
            spacing = projection.image.spacing_mm or (1.0, 1.0)
            return Scene(
                base=plain_grey(projection.image.values[0]), pixel_mm=spacing, has_scale=False
            )
    return None


def _plan(figure: Figure, results: CaseResults, told: Words) -> None:
    axes = _panel(figure, 1, told("Plan"))
    plan = results.planning.plan
    if plan is None:
        _say(axes, told.text(results.planning.reason) or told("No plan was made."))
        return
    _draw(axes, dose_slice(planned_of(results, plan), Plane.AXIAL, Palette(results)).scene)


def _follow(figure: Figure, results: CaseResults, told: Words) -> None:
    follow_up = results.following.follow_up
    axes = _panel(figure, 2, told("Follow-up"), height=HEIGHT - 0.07)
    if follow_up is None:
        _say(axes, told.text(results.following.reason) or told("There is no follow-up."))
        return
    visits = chart_visits(results, told)
    plot_trend(axes, follow_up, visits, told, has_names=False)
    top = axes.get_ylim()[1]
    for response in follow_up.responses:
        # Whole names of neighbouring visits would run into each other.
        name = response.category.value
        axes.annotate(
            name,
            (visits[response.visit].place, top),
            xytext=(0, -2),
            textcoords="offset points",
            horizontalalignment="right" if response.visit == len(visits) - 1 else "center",
            verticalalignment="top",
            fontproperties=font(name, 12),
            color="#1d2730",
        )
