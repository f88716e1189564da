-- Who may look: accounts with a role, of one tenant or of all (''), and their sessions.
-- depends: 0001-collection
CREATE TABLE account (
  name TEXT PRIMARY KEY, role TEXT NOT NULL, tenant TEXT NOT NULL DEFAULT '', password TEXT NOT NULL,
  made_s BIGINT NOT NULL, last_login_s BIGINT
);
CREATE TABLE session (
  token TEXT PRIMARY KEY, account TEXT NOT NULL, until_s BIGINT NOT NULL
);
