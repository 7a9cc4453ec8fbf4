"""The experiments of the paper, and that of a recipe for small machines, each as a table of cells.

A module such as `table1` only lists the cells of its experiment and where their scores stand in the table. The other
modules, in the order in which `diptych ablate` uses them:

    experiment, catalog    what a cell, a place in a table and an experiment are; the experiments by name
    budget, settings       what is equal between cells; the config of each training
    study                  runs the cells one after the other, each in a process of its own, through the cache
    cell_roots, workplace  which root counts for a cell; a root in which cells run
    processes, calibration the processes; what a step of a cell costs
    looking, finished      finds what has run already, of each cell, and in the metadata of a root
    results, intervals     scores over seeds
    outputs/               table, plot, TensorBoard, terminal
"""
