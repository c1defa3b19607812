"""Warehouses, one file each; the file's name is the Airflow connection type it serves."""
