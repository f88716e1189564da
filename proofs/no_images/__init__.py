"""Shows that no picture leaves the daemon: everything that left it is collected by strace and searched for pixels."""
