"""The commands of `diptych`, one module each: it parses its arguments and calls the rest of the code."""
