"""Apache Airflow provider for We360.ai.

Public are the modules ``hooks.we360``, ``operators.session``, ``transfers.we360_to_sql``,
``transfers.we360_to_object_storage``, ``transfers.we360_to_lakehouse``, ``sensors.report``,
``triggers.day``, ``triggers.report``, ``assets``, ``errors``, ``links`` and ``retry_policy``, and of
them what ``docs/reference`` describes. Everything else is private and can change in any release.
"""

__version__ = "0.1.0"
