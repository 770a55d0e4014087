"""A hub on this machine, and the tests that talk to it."""
