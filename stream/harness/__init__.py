"""The load harness: many clients in a few processes, and a report of what each class of clients saw."""
