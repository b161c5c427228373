"""Betaflight over MSP: angles and throttle, closed into velocities by this program."""
