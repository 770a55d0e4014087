"""What the shape of a chart means for the run that it shows, in up to three sentences.

There is one function per chart. Each sentence follows from numbers by a rule, with thresholds as named
constants; none names a cause that the numbers do not show. What is called usual is what most bundled runs
show, see `bundled_runs`. Names in the sentences are plain text of the model or of a file: whoever draws them
escapes them.
"""
