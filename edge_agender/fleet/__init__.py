"""What runs on a server, for many devices: collection, storage, roll-ups, page, exports. Never part of the daemon."""
