"""Look for the settings of a scenario that serve a metric best."""
