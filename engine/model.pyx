"""The vocabulary of the engine. Its constants and records are declared in model.pxd."""
