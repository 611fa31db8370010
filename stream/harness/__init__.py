"""The load harness: many clients from a few processes, and a report of what each class of them saw."""
