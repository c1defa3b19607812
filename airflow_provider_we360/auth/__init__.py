"""OAuth 2.0 with Keycloak: what a token is, how one is had, kept, renewed and ended. Knows nothing of Airflow."""
