"""What of a new configuration can take over while the service runs."""

from __future__ import annotations

from edge_agender.config.settings import Config
from edge_agender.errors import ConfigError

# These are reloaded while running; what else changed is a restart of the process, which systemd does in a second.
RELOADABLE = {"source", "detector", "estimator", "gating", "tracking", "audience", "window", "privacy", "schedule"}
RELOADABLE |= {"demographics", "models", "publish", "fleet", "log"}
# Those of them that the networks and what is made of their boxes depend on.
NETWORKS = {"detector", "estimator", "gating", "tracking", "models"}


def changed_sections(before: Config, after: Config) -> set[str]:
    """Return the sections that differ; raise ConfigError where one of them cannot change while running."""
    changed = {name for name in Config.model_fields if getattr(after, name) != getattr(before, name)}
    if fixed := sorted(changed - RELOADABLE):
        raise ConfigError(f"{', '.join(fixed)}: cannot change while running: systemctl restart edge-agender")
    return changed
