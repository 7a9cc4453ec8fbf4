"""What the stages take with 10,000, 100,000 and two million listed clips: `python -m tests.benchmarks.audioset`.

In the order of their use:

    __main__            the command: each stage and number of clips in a fresh process
    made_up             lists, names, labels and sums of clips that do not exist
    bucket              a bucket whose listing names such clips
    gauge               time, memory, file operations, requests and bytes of a part of the process
    ingest              what reads and writes lists: listing, plan, shards, publishing
    reading             what reads examples and what comes of them: statistics, validation, training input, evaluation
    rows, table, curves what was measured and what follows from it, as text and as a picture
    prices              clips -> hours of machines, operations and bytes
"""
