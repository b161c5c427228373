"""Bridge from d2oc agents to flight controllers: guard, MAVLink, simulated vehicles, a swarm that flies."""
