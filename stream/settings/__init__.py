"""What can be set, from where it is read, and how it is documented. Never acts on it."""
