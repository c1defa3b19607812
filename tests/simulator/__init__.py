"""The sandbox with everything that can go wrong: Keycloak's states, faults by plan, a request log."""
