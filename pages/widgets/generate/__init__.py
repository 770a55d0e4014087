"""The parts of the Generate page."""
