"""The edge to Airflow: Connection in, rows out, errors in Airflow's own terms."""
