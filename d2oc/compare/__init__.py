"""Fly one scenario with several methods and put them side by side."""
