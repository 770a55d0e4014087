"""Putting finished runs beside one another: curves of families of runs, a leaderboard at equal budget, what two recipes and two masks share."""
