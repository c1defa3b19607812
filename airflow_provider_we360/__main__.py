"""``python -m airflow_provider_we360``: commands for a terminal."""

from __future__ import annotations

import sys

from airflow_provider_we360.cli.command import main

if __name__ == "__main__":
    sys.exit(main())
