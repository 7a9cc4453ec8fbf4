"""The page on which an evaluation is read: one HTML file without anything beside it.

`gathering` takes the `content` from what the stages have published, and `clips` chooses the clips to hear. `figures`
draws the plots, and `page` writes the HTML; `terminal` prints the scores.
"""
