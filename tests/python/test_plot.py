# SPDX-License-Identifier: BSD-3-Clause
"""A Monitor's picture: opened, measured, and held against the samples."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmalloc

matplotlib = pytest.importorskip("matplotlib")
image = pytest.importorskip("matplotlib.image")
numpy = pytest.importorskip("numpy")

LIBRARY = os.environ["ZMALLOC_ALLOCATOR"]
MIB = 1 << 20

# What lies between the levels that each allocator knows, from the top.
ALL = [
    "RSS − resident: code, stacks, others",
    "resident − active: can be purged",
    "active − allocated: fragmentation",
    "allocated − used: headers, caches",
    "used: in blocks",
]
AREAS = {
    "jemalloc": ALL,
    "tcmalloc": ALL,
    "libc": ["RSS − active: can be purged; code, stacks, others", *ALL[2:]],
    "mimalloc": [ALL[0], "resident − used: headers, caches; fragmentation; can be purged", ALL[4]],
    "mimalloc-3": ["RSS − used: headers, caches; fragmentation; can be purged; code, stacks, others", ALL[4]],
}["mimalloc-3" if zmalloc.allocator.startswith("mimalloc-3") else LIBRARY]
NO_FORMULA = "every $_^{ other $ freed"
COLOURS = {"used": "#003f5c", "allocated": "#58508d", "active": "#bc5090", "resident": "#ffa600", "RSS": "#c8c8c8"}


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture(scope="module")
def monitor() -> zmalloc.Monitor:
    """Blocks come, half of them go, and a purge."""
    monitor = zmalloc.Monitor(None)
    kept = []
    with monitor:
        for _ in range(10):
            kept += [zmalloc.Block(2000) for _ in range(1000)]
            monitor.sample()
            time.sleep(0.002)
        monitor.mark(NO_FORMULA)
        del kept[::2]
        for _ in range(5):
            monitor.sample()
            time.sleep(0.002)
        zmalloc.purge()
        for _ in range(5):
            monitor.sample()
            time.sleep(0.002)
    return monitor


def legend(axes: object) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_the_picture_has_its_size_and_every_area_s_colour(monitor: zmalloc.Monitor, tmp_path: Path) -> None:
    axes = monitor.plot(tmp_path / "monitor.png")
    picture = image.imread(tmp_path / "monitor.png")
    assert picture.shape[:2] == (480, 900)
    seen = {tuple(colour) for colour in (picture[..., :3] * 255).round().astype(int).reshape(-1, 3)}
    levels = {label.split(":")[0].split(" − ")[0] for label in AREAS}
    # An area may be too thin for a pixel of its own; these are not.
    for level in {"used", "RSS"} & levels:
        assert tuple(int(COLOURS[level][i : i + 2], 16) for i in (1, 3, 5)) in seen
    drawn = [matplotlib.colors.to_hex(area.get_facecolor()[0]) for area in axes.collections]
    assert drawn == [colour for level, colour in COLOURS.items() if level in levels]


def test_every_gap_that_is_known_has_a_name(monitor: zmalloc.Monitor) -> None:
    assert legend(monitor.plot()) == ["RSS", *AREAS]


def test_what_is_drawn_is_what_was_sampled(monitor: zmalloc.Monitor) -> None:
    axes, samples = monitor.plot(), monitor.samples()
    times = [sample.monotonic - samples[0].monotonic for sample in samples]
    [line] = [line for line in axes.get_lines() if line.get_label() == "RSS"]
    assert list(line.get_xdata()) == times
    assert list(line.get_ydata()) == [sample.rss / MIB for sample in samples]
    assert axes.get_ylabel() == "MiB"
    assert re.fullmatch(r"seconds since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", axes.get_xlabel())
    assert axes.get_xlim() == (0, times[-1])
    assert axes.get_ylim()[0] == 0
    assert axes.get_ylim()[1] >= max(sample.rss for sample in samples) / MIB
    [used] = [area for area in axes.collections if area.get_label() == "used: in blocks"]
    corners = {(x, y) for path in used.get_paths() for x, y in path.vertices}
    assert {(when, sample.used / MIB) for when, sample in zip(times, samples) if sample.used > 0} <= corners


def test_areas_lie_on_each_other(monitor: zmalloc.Monitor) -> None:
    """The upper edge of each is the lower edge of the next, wherever neither turns round."""
    from zmalloc._monitor.plot import areas

    found = areas(monitor._series, monitor.samples())
    for lower, upper in zip(found, found[1:]):
        assert upper.below == lower.above
    for place, sample in enumerate(monitor):
        assert found[-1].above[place] == sample.rss
        assert sum(area.above[place] - area.below[place] for area in found) == sample.rss


def test_events_are_marked(monitor: zmalloc.Monitor) -> None:
    axes, start = monitor.plot(), monitor.samples()[0].monotonic
    lines = [line.get_xdata()[0] for line in axes.get_lines() if line.get_label() != "RSS"]
    assert lines == [event.monotonic - start for event in monitor.events()]
    assert [text.get_text().replace("\\", "") for text in axes.texts] == [NO_FORMULA, "purge"]
    axes.figure.savefig(io.BytesIO())  # a name is not taken for a formula


@pytest.mark.parametrize("part", [0.5, 1.5, 100])
def test_limits_are_lines_with_names(part: float) -> None:
    """One that is far above all levels does not make these flat: then its name alone tells it."""
    monitor = zmalloc.Monitor(None)
    zmalloc.set_soft_limit(1 << 20)
    try:
        for _ in range(3):
            monitor.sample()
        highest = max(monitor.sample().rss, monitor.sample().resident or 0)
        zmalloc.set_limit(int(highest * part))
        for _ in range(3):
            monitor.sample()
    finally:
        zmalloc.set_limit(None)
        zmalloc.set_soft_limit(None)
    axes, samples = monitor.plot(), monitor.samples()
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert len(lines) == 3
    size = MIB if axes.get_ylabel() == "MiB" else MIB << 10
    name = f"limit of used: {int(highest * part) / size:,.1f} {axes.get_ylabel()}"
    name += ", above the picture" * (part > 2)
    assert {name, f"soft limit of used: {MIB / size:,.1f} {axes.get_ylabel()}"} < set(legend(axes))
    drawn = list(lines[name].get_ydata())
    assert numpy.isnan(drawn[:5]).all()
    assert drawn[5:] == [int(highest * part) / size] * 3
    assert (axes.get_ylim()[1] > drawn[-1]) == (part < 2)
    assert highest / size < axes.get_ylim()[1] < 3 * highest / size
    assert lines[name].get_linestyle() != lines[next(label for label in lines if label[:4] == "soft")].get_linestyle()
    assert all(sample.limit is None for sample in samples[:5])


def test_names_of_events_that_would_lie_on_each_other_are_left_out() -> None:
    monitor = zmalloc.Monitor(None)
    monitor.sample()
    for _ in range(500):
        monitor.mark("again")
    time.sleep(0.01)
    monitor.sample()
    monitor.mark("later than all samples")
    axes = monitor.plot()
    assert len(axes.get_lines()) == 501
    assert 1 <= len(axes.texts) < 50


@pytest.mark.parametrize(("name", "start"), [("a.svg", b"<?xml"), ("a.pdf", b"%PDF"), ("a.png", b"\x89PNG")])
def test_formats(name: str, start: bytes, monitor: zmalloc.Monitor, tmp_path: Path) -> None:
    monitor.plot(str(tmp_path / name), title="A title")
    assert (tmp_path / name).read_bytes().startswith(start)
    file = io.BytesIO()
    monitor.plot(file, format=Path(name).suffix[1:])
    assert file.getvalue().startswith(start)


def test_axes_may_be_given(monitor: zmalloc.Monitor, tmp_path: Path) -> None:
    figure = matplotlib.figure.Figure()
    left, right = figure.subplots(1, 2)
    assert monitor.plot(right, title="Right") is right
    assert (right.get_title(), left.get_title()) == ("Right", "")
    assert legend(right) == ["RSS", *AREAS]
    figure.savefig(tmp_path / "two.png")
    with pytest.raises(FileNotFoundError):
        monitor.plot(tmp_path / "nowhere" / "a.png")


def test_windows_are_left_alone(script: Callable, tmp_path: Path) -> None:
    result = script(
        "import sys\n"
        "monitor = zmalloc.Monitor(None)\n"
        "monitor.sample()\n"
        f"monitor.plot({str(tmp_path / 'a.png')!r})\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    assert (result.stdout, result.stderr) == ("False\n", "")


def test_the_readme_s_picture(source: Path, tmp_path: Path) -> None:
    """Its program runs on every allocator and draws a picture of the same size."""
    program = source / "examples" / "cookbook" / "monitor.py"
    subprocess.run([sys.executable, "-W", "error", program], cwd=tmp_path, check=True, timeout=120)
    picture, kept = image.imread(tmp_path / "monitor.png"), source / "docs" / "images" / "monitor.png"
    assert picture.shape[:2] == image.imread(kept).shape[:2]
    assert kept.stat().st_size < 120_000


def test_the_picture_of_a_cache_that_is_defragmented(source: Path, tmp_path: Path) -> None:
    program = source / "examples" / "cookbook" / "defrag.py"
    command = [sys.executable, "-W", "error", program]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    if not zmalloc.allocator.startswith("jemalloc"):
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith(f"{zmalloc.allocator} can't tell which blocks to move: ")
        return
    assert (result.returncode, result.stderr) == (0, "")
    figures = re.findall(r"^([a-z ]+?) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)$", result.stdout, re.MULTILINE)
    rows = {name: tuple(map(float, row)) for name, *row in figures}
    assert list(rows) == ["full", "thinned out", "purged", "and moved"]
    (used, active, holes, _), (moved_used, moved_active, moved_holes, _) = rows["purged"], rows["and moved"]
    assert used == moved_used < rows["full"][0] / 3
    assert active > 3 * used and holes > 2 * used
    assert moved_active < 1.5 * used and moved_holes < used / 4
    picture, kept = image.imread(tmp_path / "defrag.png"), source / "docs" / "images" / "defrag.png"
    assert picture.shape[:2] == image.imread(kept).shape[:2]
    assert kept.stat().st_size < 120_000


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_samples(count: int, tmp_path: Path) -> None:
    monitor = zmalloc.Monitor(None)
    monitor.mark("before all")
    for _ in range(count):
        monitor.sample()
    axes = monitor.plot(tmp_path / "few.png")
    assert image.imread(tmp_path / "few.png").shape[:2] == (480, 900)
    assert [text.get_text() for text in axes.texts] == (["no samples"] if count == 0 else [])


@pytest.mark.parametrize("walk", [False, True])
def test_another_process(walk: bool) -> None:
    with subprocess.Popen(["sleep", "1000"]) as child:
        with zmalloc.Monitor(None, walk=walk, pid=child.pid) as monitor:
            time.sleep(0.01)
        child.kill()
    axes = monitor.plot()
    whole = "RSS: in pages mapped nowhere else; its part of what is shared; others' parts of what is shared"
    parts = ["RSS − PSS: others' parts of what is shared", "PSS − USS: its part of what is shared",
             "USS: in pages mapped nowhere else"]  # fmt: skip
    assert legend(axes) == (["RSS", *parts] if walk else ["RSS", whole])
    assert axes.get_title() == f"Memory of process {child.pid}"
    assert axes.get_ylabel() in ("KiB", "MiB")


@pytest.mark.parametrize(("seconds", "unit"), [(100, "seconds"), (600, "minutes"), (10_000, "hours")])
def test_units_of_time(seconds: int, unit: str) -> None:
    from zmalloc._monitor.plot import TIMES, unit_of

    assert unit_of(TIMES, seconds, "seconds")[0] == unit


def test_the_picture_in_html(monitor: zmalloc.Monitor) -> None:
    from xml.etree import ElementTree

    parts = ElementTree.fromstring(f"<div>{monitor._repr_html_()}</div>")
    svg = parts[-1]
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    assert svg.get("role") == "img"
    assert svg.get("aria-label")
    words = " ".join(svg.itertext())
    assert "purge" in words
    assert "used: in blocks" in words
