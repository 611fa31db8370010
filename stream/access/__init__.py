"""Who somebody is and whether that still holds: tokens, their keys and claims, revocations, and addresses. Never decides what may be done with it."""
