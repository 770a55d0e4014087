"""The laws that every method has to keep, for the tests of this project and for method files."""
