import dataclasses
import html.parser
import io
import re

import pytest
from rich.console import Console

from pipeline.evaluation.report import page, terminal
from tests.pipeline.evaluation.report.contents import NASTY, full

_VOID = {"meta", "br", "hr", "img", "input", "link"}


class Checker(html.parser.HTMLParser):
    """Checks that elements are closed in order, and collects text and links."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.links = [], [], []

    def handle_starttag(self, tag, attributes):
        if tag not in _VOID:
            self.open.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "xlink:href")]

    def handle_startendtag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def check(text):
    checker = Checker()
    checker.feed(text)
    assert not checker.open
    return checker


def test_classes_have_names_in_any_script():
    """Warnings fail tests."""
    svg = page.render(full(prefix="犬 ")).split("<h2>Confusion</h2>")[1]
    assert svg.count("犬 3") >= 2  # On both axes.


def test_the_page_holds_all_that_it_shows():
    text = page.render(full())
    checker = check(text)
    assert all(link.startswith(("data:", "#")) for link in checker.links)
    assert "http" not in re.sub(r'<!DOCTYPE svg.*?>|xmlns(:\w+)?="[^"]*"', "", text)
    shown = " ".join(checker.text)
    for part in (
        "accuracy 0.858",
        "Robustness",
        "white noise",
        "untrained/both",
        "0.822 to 0.890",
        "Confusion",
        "k-NN",
    ):
        assert part in shown
    assert text.count("<audio") == 1
    assert text == page.render(full())


def test_names_are_text_whatever_they_hold():
    content = full(prefix=NASTY.replace("\udcff", ""))  # Names of classes are UTF-8.
    content = dataclasses.replace(content, model=NASTY, data=NASTY, notes=[NASTY], facts={NASTY: NASTY})
    text = page.render(content)
    check(text)
    assert "<script" not in text
    text.encode()


@pytest.mark.parametrize("classes", [2, 100])
def test_any_number_of_classes(classes):
    check(page.render(full(classes=classes)))


@pytest.mark.parametrize(("metric", "of_class"), [("accuracy", "recall"), ("mAP", "average precision")])
def test_the_scores_of_classes_have_the_name_that_the_metric_tells(metric, of_class):
    """Of many classes, the confusion matrix is not shown."""
    text = page.render(dataclasses.replace(full(), metric=metric, confusion=None))
    names = re.findall("<th[^>]*>([^<]*)</th>", text)
    assert [name for name in names if name in ("recall", "average precision")] == [of_class]


def test_what_was_not_measured_has_no_heading():
    content = dataclasses.replace(full(), robustness=None, confusion=None, clips=[], scores=[], classes=[])
    headings = re.findall("<h2>(.*?)</h2>", page.render(content))
    assert headings == ["More"]


@pytest.mark.parametrize(("width", "has_others"), [(120, True), (80, True), (60, False)])
def test_the_terminal_shows_the_scores(width, has_others):
    console = Console(file=io.StringIO(), width=width)
    terminal.show(full(), console)
    printed = console.file.getvalue()
    assert "0.822 to 0.890" in printed
    assert ("8-shot" in printed) == has_others
    assert printed.replace("\n", " ").strip().endswith("0.120 above untrained/both")
    assert all(len(line) <= max(width, len(full().verdict)) for line in printed.splitlines())
