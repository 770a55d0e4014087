"""Charts of several runs side by side."""
