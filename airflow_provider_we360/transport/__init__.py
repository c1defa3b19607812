"""HTTP for login and data requests: client, bounds, proxies, retries, and words for what fails."""
