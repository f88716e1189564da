"""Other people's networks, as far as registries and published files have them, behind the project's own protocols."""
