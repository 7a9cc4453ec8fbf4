from stage_package.helpers import unused

TITLE = unused.UNUSED
