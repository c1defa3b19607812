"""The sandbox plus what can go wrong: all states of a Keycloak, planned faults, a request log."""
