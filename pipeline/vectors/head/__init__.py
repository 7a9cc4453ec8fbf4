"""A classifier on top of embeddings: `diptych classify`.

`labels` reads the classes of files and `labeled` their vectors, and `training` trains and scores the classifier.
`building` and `saved_head` write it as a SavedModel with `description`, `serve_once` checks that in a fresh process,
and `classifying` applies it to files.
"""
