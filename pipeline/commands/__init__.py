"""The commands of `diptych`, one module each.

A command declares its arguments, and `pipeline.cli` parses them. The command then calls the code that does the work.
Its module has:

* `SUMMARY`: one line for `diptych --help`.
* `DESCRIPTION` and `EPILOG`: the text before and after the arguments in `diptych COMMAND --help`.
* `add_arguments(parser)`: adds the arguments of the command.
* `execute(arguments)`: does what the command is for and returns the exit status.

`diptych --help` imports all of these modules. They therefore import what does the work only in `execute`.
"""
