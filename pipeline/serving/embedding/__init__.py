"""Embeds files, manifests and examples in bulk: `diptych embed`. `beam_jobs.audio.parallel` decodes them.

The modules, in the order in which the sounds pass through them:

    inputs, groups    what the paths of the command line name, divided into groups that are finished one by one
    exported_model    loads the SavedModel, and says what is wrong with it
    exported_file     the same for a .tflite or .onnx file
    stored            reads clips from a folder of examples
    embed             the loop over the groups
    part              the rows of one group, in a file of its own
    journal           the finished groups, so that the same command continues after it was stopped
    outputs, npz      the file that the user asked for, made of all parts
    quarantine        the table of what could not be embedded
    meter             how far it is and how fast
"""
