import argparse
import itertools
import re
import shlex

import pytest

from pipeline import cli
from pipeline.configs import resolve
from tests.benchmarks import docs

PAGES = [page.relative_to(docs.ROOT).as_posix() for page in docs.pages()]
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)
MENTION = re.compile(r"`diptych\s+([a-z][a-z-]*)\s([^`]*)`")
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


@pytest.mark.parametrize("page", PAGES)
def test_a_table_of_a_page_has_a_line_for_each_row(page):
    text = CODE.sub("", (docs.ROOT / page).read_text())
    assert not re.search(r"\|[ ]*\|[ ]*-{3}", text), f"{page}: the lines of a table run together"


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


def commands(text):
    """Returns the words behind `diptych` in each line of a text that is such a command, up to a pipe or the like."""
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    split = [shlex.split(line, comments=True) for line in lines if re.match(r"\s*(\S*/)?diptych ", line)]
    ends = {"|", ">", ">>", "&&", ";", "&"}
    return [tuple(itertools.takewhile(lambda word: word not in ends, words[1:])) for words in split]


def test_commands_are_found_as_a_shell_reads_them():
    text = (
        "cd x\n  diptych run --preset tiny \\\n    --plan  # a plan\n.venv/bin/diptych runs | head > a\ndiptych/    x"
    )
    assert commands(text) == [("run", "--preset", "tiny", "--plan"), ("runs",)]


BLOCKS = {page: "\n".join(BLOCK.findall((docs.ROOT / page).read_text())) for page in PAGES}
EPILOGS = {"diptych --help": cli._EPILOG, **{f"{name} --help": module.EPILOG for name, module in cli.COMMANDS.items()}}
COMMANDS = [(place, words) for place, text in {**BLOCKS, **EPILOGS}.items() for words in commands(text)]


def test_every_epilog_has_a_command():
    assert {place for place, _ in COMMANDS} >= set(EPILOGS)


@pytest.mark.parametrize(("place", "words"), COMMANDS)
def test_every_command_of_a_page_or_of_the_help_is_accepted(place, words, capsys):
    try:
        arguments = cli._parse(words)
    except SystemExit:
        pytest.fail(f"{place}: {capsys.readouterr().err}")
    if getattr(arguments, "preset", None) and hasattr(arguments, "overrides"):
        assignments = [text for text in arguments.overrides if "$" not in text]
        resolve.resolve(arguments.preset, data=getattr(arguments, "data", None), assignments=assignments)


@pytest.mark.parametrize("page", PAGES)
def test_every_option_in_a_mention_of_a_command_exists(page):
    text = BLOCK.sub("", (docs.ROOT / page).read_text())
    (parsers,) = (action for action in cli._parser()._actions if isinstance(action, argparse._SubParsersAction))
    for name, rest in MENTION.findall(text):
        known = parsers.choices[name]._option_string_actions
        options = re.findall(r"(?<!\S)--[a-z][\w-]*", rest)
        assert not [option for option in options if option not in known], f"{page}: `diptych {name} {rest}`"
