"""Diptych and its rivals on the same clips, for the same processor time: `python -m tests.benchmarks.rivals`.

Modules, in the order in which a run uses them:

    contenders   who is compared, and the config of each
    methods      how a contender is trained: Diptych and SimCLR by the Trainer's own step, see cola and byol_a
    log_mel_first  Diptych in three phases
    views        the augmentations of BYOL-A
    training     trains for a given time
    scores       embeds the clips and runs the Evaluator's probes
    cells        one contender with one seed in a process of its own; finished ones are kept
    table        the results as Markdown
"""
