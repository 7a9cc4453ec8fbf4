import json

from beam_jobs.audio import pcm
from stage_package import helpers
from stage_package.stage import summaries

PROGRAM = "program.py"


def execute():
    from ..helpers import lazy

    return json.dumps([pcm, helpers, lazy, summaries])
