"""A stand-in for the We360.ai API: a made-up company, a Keycloak, a report API, and everything that can go wrong with them."""
