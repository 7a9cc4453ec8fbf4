"""Diptych's models as the models of other projects. Each module imports the project that it is for."""
