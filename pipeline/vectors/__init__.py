"""Asks questions of stored embeddings: `diptych search` and `diptych classify`.

`stored` opens what `diptych embed` or the Embedder has written, and `rows_of_files` reads it. `index`, `nearest`,
`queries` and `hits` are the search.
"""
