"""Explore's charts with a second run drawn into each of them: one function per chart, from a `Pair`.

A module has the name of the one whose chart it draws for a single run.
"""
