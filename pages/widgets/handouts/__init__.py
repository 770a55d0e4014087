"""Handouts: what the app shows, as one HTML file that opens offline."""
