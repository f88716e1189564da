-- What is collected: devices, messages once each, measurements, hours.

CREATE TABLE device (
  name TEXT PRIMARY KEY,
  tenant TEXT NOT NULL DEFAULT 'default',
  site TEXT NOT NULL DEFAULT '',
  enrolled_s BIGINT,
  valid_until_s BIGINT,
  revoked_s BIGINT,
  first_seen_s BIGINT,
  last_seen_s BIGINT,
  state TEXT,
  measuring BIGINT,
  reason TEXT,
  alarms TEXT,
  health TEXT,
  health_s BIGINT,
  software TEXT,
  configuration TEXT,
  clock_off_s DOUBLE PRECISION
);
CREATE TABLE stream (
  device TEXT NOT NULL, kind TEXT NOT NULL, boot_id TEXT NOT NULL,
  last BIGINT NOT NULL, first_seen_s BIGINT NOT NULL, last_seen_s BIGINT NOT NULL,
  PRIMARY KEY (device, kind, boot_id)
);
CREATE TABLE gap (
  device TEXT NOT NULL, kind TEXT NOT NULL, boot_id TEXT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL,
  found_s BIGINT NOT NULL, asked_s BIGINT, asked BIGINT NOT NULL DEFAULT 0, outcome TEXT,
  PRIMARY KEY (device, kind, boot_id, first)
);
CREATE TABLE message (
  device TEXT NOT NULL, kind TEXT NOT NULL, boot_id TEXT NOT NULL, sequence BIGINT NOT NULL,
  start_s BIGINT NOT NULL, number BIGINT NOT NULL, digest TEXT NOT NULL, historical BIGINT NOT NULL,
  received_s BIGINT NOT NULL, raw TEXT,
  PRIMARY KEY (device, kind, boot_id, sequence)
) WITHOUT ROWID;
CREATE INDEX message_measurement ON message (device, kind, start_s, number);
CREATE INDEX message_received ON message (received_s);
CREATE TABLE conflict (
  id INTEGER PRIMARY KEY, device TEXT NOT NULL, kind TEXT NOT NULL, boot_id TEXT NOT NULL,
  sequence BIGINT NOT NULL, start_s BIGINT NOT NULL, number BIGINT NOT NULL, reason TEXT NOT NULL,
  digest TEXT NOT NULL, kept_digest TEXT NOT NULL, received_s BIGINT NOT NULL, raw TEXT
);
CREATE TABLE refused (
  id INTEGER PRIMARY KEY, topic TEXT NOT NULL, reason TEXT NOT NULL, received_s BIGINT NOT NULL, payload BLOB NOT NULL
);
CREATE TABLE audience_window (
  device TEXT NOT NULL, start_s BIGINT NOT NULL, number BIGINT NOT NULL, length_s BIGINT NOT NULL,
  covered_s DOUBLE PRECISION, opportunities BIGINT, viewers BIGINT, engaged BIGINT, dwell_s DOUBLE PRECISION,
  attention_viewers BIGINT, attention_s DOUBLE PRECISION, glances BIGINT, mean_count DOUBLE PRECISION,
  peak BIGINT, light DOUBLE PRECISION,
  PRIMARY KEY (device, start_s, number)
) WITHOUT ROWID;
CREATE TABLE audience_content (
  device TEXT NOT NULL, start_s BIGINT NOT NULL, number BIGINT NOT NULL, content TEXT NOT NULL,
  shown_s DOUBLE PRECISION, viewers BIGINT, dwell_s DOUBLE PRECISION, attention_s DOUBLE PRECISION,
  PRIMARY KEY (device, start_s, number, content)
) WITHOUT ROWID;
CREATE TABLE audience_demographics (
  device TEXT NOT NULL, start_s BIGINT NOT NULL, number BIGINT NOT NULL, length_s BIGINT NOT NULL,
  covered_s DOUBLE PRECISION, viewers BIGINT, brought_forward BIGINT, withheld BIGINT, min_cell BIGINT,
  PRIMARY KEY (device, start_s, number)
) WITHOUT ROWID;
CREATE TABLE audience_cell (
  device TEXT NOT NULL, start_s BIGINT NOT NULL, number BIGINT NOT NULL,
  content TEXT NOT NULL, gender TEXT NOT NULL, age_band TEXT NOT NULL, viewers BIGINT NOT NULL, sd DOUBLE PRECISION,
  PRIMARY KEY (device, start_s, number, content, gender, age_band)
) WITHOUT ROWID;
CREATE INDEX audience_window_time ON audience_window (start_s);
CREATE INDEX audience_content_time ON audience_content (start_s);
CREATE INDEX audience_cell_time ON audience_cell (start_s);
CREATE TABLE dirty (
  device TEXT NOT NULL, hour_s BIGINT NOT NULL, since_s BIGINT NOT NULL, PRIMARY KEY (device, hour_s)
);
CREATE TABLE hour (
  device TEXT NOT NULL, hour_s BIGINT NOT NULL, content TEXT NOT NULL,
  windows BIGINT NOT NULL, covered_s DOUBLE PRECISION NOT NULL, opportunities BIGINT NOT NULL, viewers BIGINT NOT NULL,
  engaged BIGINT, dwell_s DOUBLE PRECISION NOT NULL, dwell_viewers BIGINT NOT NULL, attention_s DOUBLE PRECISION NOT NULL,
  attention_viewers BIGINT NOT NULL, glances BIGINT NOT NULL, count_s DOUBLE PRECISION NOT NULL,
  count_covered_s DOUBLE PRECISION NOT NULL, peak BIGINT, light_s DOUBLE PRECISION,
  revision BIGINT NOT NULL, updated_s BIGINT NOT NULL,
  PRIMARY KEY (device, hour_s, content)
);
CREATE INDEX hour_time ON hour (hour_s);
CREATE TABLE unpublished (device TEXT NOT NULL, day TEXT NOT NULL, since_s BIGINT NOT NULL, PRIMARY KEY (device, day));
CREATE TABLE publication (
  device TEXT NOT NULL, day TEXT NOT NULL, revision BIGINT NOT NULL, published_s BIGINT NOT NULL,
  complete BIGINT NOT NULL, hidden BIGINT NOT NULL, held_back BIGINT NOT NULL,
  rest TEXT NOT NULL, PRIMARY KEY (device, day)
);
CREATE TABLE published (
  device TEXT NOT NULL, day TEXT NOT NULL, hour_s BIGINT NOT NULL, content TEXT NOT NULL,
  covered_s DOUBLE PRECISION NOT NULL, opportunities BIGINT, viewers BIGINT, engaged BIGINT,
  dwell_s DOUBLE PRECISION, dwell_viewers BIGINT, attention_s DOUBLE PRECISION, attention_viewers BIGINT,
  count_s DOUBLE PRECISION, count_covered_s DOUBLE PRECISION,
  PRIMARY KEY (device, day, hour_s, content)
);
CREATE INDEX published_day ON published (day, device);
