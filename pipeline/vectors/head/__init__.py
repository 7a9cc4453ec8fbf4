"""A classifier on top of embeddings: `diptych classify`.

`labels` reads the classes of files, `training` trains and scores the classifier, `saved_head` writes it as a SavedModel
with `description`, `serve_once` checks that in a fresh process, and `classifying` applies it to files.
"""
