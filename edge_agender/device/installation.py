"""Where the service keeps its things, seen from a command that runs outside of its sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_agender.config.settings import Config, MqttConfig
from edge_agender.device.paths import UNIT as UNIT
from edge_agender.device.paths import has_unit, service_state, state_folder, systemd_state, user_folder
from edge_agender.device.systemd import passes_credentials

_RUNNING_CREDENTIALS = Path("/run/credentials") / UNIT
_STORES = ("etc/credstore", "run/credstore", "usr/lib/credstore")


def visible(folder: Path) -> bool:
    """Return whether this user may see what is in a folder, or that it is not there."""
    try:
        list(folder.iterdir())
    except PermissionError:
        return False
    except OSError:
        pass
    return True


@dataclass(frozen=True, slots=True)
class Place:
    """One installation. Files of the system are looked for below `root`, so that a test can point elsewhere."""

    root: Path = Path("/")

    @property
    def has_unit(self) -> bool:
        return has_unit(self.root)

    @property
    def has_systemd(self) -> bool:
        return (self.root / "run/systemd/system").is_dir()

    def state_folder(self, config: Config) -> Path:
        """Return where the service keeps what must survive a restart."""
        return config.outbox.path or self._service_folder() or state_folder()

    def models_folder(self) -> Path:
        """Return where added models lie."""
        service = self._service_folder()
        return service / "models" if service else user_folder()

    def credential(self, name: str) -> Path | None:
        """Return the file from which the unit loads a credential; None where it has none, or only root may know."""
        for store in _STORES:
            path = self.root / store / f"edge-agender.{name}"
            try:
                if path.is_file():
                    return path
            except PermissionError:
                return path
        return None

    def with_credentials(self, config: MqttConfig) -> MqttConfig:
        """Return the configuration with the secrets that systemd would hand to the service put in as files."""
        changes: dict[str, object] = {}
        if config.username and config.password_file is None and not passes_credentials():
            changes["password_file"] = self.credential("mqtt-password")
        elif config.password_file:
            changes["password_file"] = self._stored(config.password_file)
        if config.tls.key_file:
            changes["tls"] = config.tls.model_copy(update={"key_file": self._stored(config.tls.key_file)})
        return config.model_copy(update=changes)

    def _stored(self, path: Path) -> Path:
        """Credentials of the unit exist while it runs; their origin always does."""
        if path.parent == _RUNNING_CREDENTIALS and not (visible(path.parent) and path.exists()):
            return self.credential(path.name) or path
        return path

    def _service_folder(self) -> Path | None:
        return service_state(self.root) if self.has_unit and systemd_state() is None else None
