"""Bridge from d2oc agents to real flight controllers. Empty so far: no vehicle can be flown with this version."""
