"""Asks questions of stored embeddings: `diptych search` and `diptych classify`.

`stored` opens what `diptych embed` or the Embedder has written. `index`, `nearest`, `queries` and `hits` are the
search.
"""
