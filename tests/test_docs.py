import re

import pytest

from tests.benchmarks import docs

PAGES = [page.relative_to(docs.ROOT).as_posix() for page in docs.pages()]
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def links(text):
    targets = [match[1] for match in LINK.finditer(CODE.sub("", text))]
    return [target for target in targets if "://" not in target]


def anchors(text):
    """Returns the anchors that GitHub gives to the headings of a page."""
    headings = HEADING.findall(text)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_somewhere(page):
    path = docs.ROOT / page
    for target in links(path.read_text()):
        file, _, anchor = target.partition("#")
        linked = path.parent / file if file else path
        assert linked.is_file(), f"{page} links to {target}: there is no such file"
        if anchor:
            assert anchor in anchors(linked.read_text()), f"{page} links to {target}: there is no such heading"


def test_every_page_can_be_reached_from_the_readme():
    reached, waiting = set(), [docs.ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        targets = (target.partition("#")[0] for target in links(page.read_text()))
        waiting += [(page.parent / target).resolve() for target in targets if target]
    assert {page.relative_to(docs.ROOT).as_posix() for page in reached} == set(PAGES)


def test_the_tpu_install_line_names_the_driver_and_where_it_is():
    """libtpu 2.17.1 is not on PyPI, and --no-deps skips it silently if the line does not name it."""
    command = re.search(r"pip install[^`]*tensorflow-tpu==(\S+)[^`]*", (docs.ROOT / "deploy/tpu/README.md").read_text())
    assert f"libtpu=={command[1]} " in command[0]
    assert "--find-links https://storage.googleapis.com/libtpu-tf-releases/index.html" in command[0]
