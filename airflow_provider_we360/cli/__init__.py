"""Commands for a terminal: ``python -m airflow_provider_we360`` and ``airflow we360``."""
