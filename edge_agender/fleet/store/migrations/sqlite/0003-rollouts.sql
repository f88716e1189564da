-- Configuration from afar: what was wanted of whom, and what became of it.
-- depends: 0002-accounts
ALTER TABLE device ADD COLUMN reported TEXT;
ALTER TABLE device ADD COLUMN reported_s BIGINT;
CREATE TABLE rollout (
  revision BIGINT PRIMARY KEY, tenant TEXT NOT NULL, scope TEXT NOT NULL, changes TEXT NOT NULL,
  soak_s BIGINT NOT NULL, state TEXT NOT NULL, reason TEXT, made_by TEXT NOT NULL, made_s BIGINT NOT NULL,
  ended_s BIGINT, back_to BIGINT
);
CREATE TABLE desired (
  revision BIGINT NOT NULL, device TEXT NOT NULL, canary BIGINT NOT NULL,
  configuration TEXT NOT NULL, former TEXT NOT NULL,
  state TEXT NOT NULL, reason TEXT, sent_s BIGINT, asked_s BIGINT, applied_s BIGINT,
  boot_id TEXT, before TEXT, health_s BIGINT, samples BIGINT NOT NULL DEFAULT 0, slow BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (revision, device)
);
CREATE INDEX desired_device ON desired (device, revision);
