"""MAVLink 2: codec with signing, transports, the adapter to a flight controller, its log."""
