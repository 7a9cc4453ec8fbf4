"""What the metadata of a root tells: its runs, what was made of what, what changed, and what nothing needs any more.

`graph.py` follows artifacts to what they were made of and what was made of them, and `finding.py` knows what a user
means. `tree.py`, `dot.py` and `picture.py` draw it. `runs.py` lists runs, `comparison.py` compares two of them, and
`garbage.py` finds and removes artifacts, of which `garbage_table.py` tells. None of this imports TensorFlow.
"""
