"""Spraying: from a severity map to dose, passes, routes and sorties."""
