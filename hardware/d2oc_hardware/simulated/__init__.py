"""A simulated vehicle that behaves as ArduCopter was seen to: plant, autopilot, and the process that speaks MAVLink."""
