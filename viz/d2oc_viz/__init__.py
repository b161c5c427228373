"""Pictures of d2oc records; this package draws and never runs a controller."""
