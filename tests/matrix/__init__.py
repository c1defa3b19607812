"""The Airflow tier on each supported Airflow and Python, with the built wheel instead of the tree."""
