-- What lists are read by where a webhook or a type is asked for. Without these, a filter that few rows pass reads everything that
-- is kept. Each costs its table about 3 µs a row.

-- A webhook's deliveries, and its recent attempts.
CREATE INDEX attempts_of_webhook ON tidings.attempts (webhook_id, delivery_id);

-- Events of a type.
CREATE INDEX events_of_type ON tidings.events (tenant_id, type, id);

-- A webhook's cancelled deliveries.
CREATE INDEX cancellations_of_webhook ON tidings.cancellations (tenant_id, webhook_id, id);
