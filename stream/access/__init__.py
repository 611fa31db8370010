"""Checks who a client is: tokens, their keys and claims, revocations, and addresses. It never decides what the client may do."""
