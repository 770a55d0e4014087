"""Method files: methods of the user's own, in Python files outside the project."""
