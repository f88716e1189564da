"""The fleet's page and API: HTTP, with a login."""
