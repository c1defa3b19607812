"""Apache Airflow provider for We360.ai."""

__version__ = "0.1.0"
