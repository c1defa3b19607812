"""OAuth 2.0 with Keycloak: get, renew, share and end tokens. Does not import Airflow."""
