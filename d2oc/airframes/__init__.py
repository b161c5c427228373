"""What a simulated vehicle is made of: airframes, tanks, batteries, and their presets."""
