-- What lists are read by where a webhook is asked for; without these, a filter that few rows pass reads everything that is kept.

-- A webhook's deliveries, and its recent attempts.
CREATE INDEX attempts_of_webhook ON tidings.attempts (webhook_id, delivery_id);

-- A webhook's cancelled deliveries.
CREATE INDEX cancellations_of_webhook ON tidings.cancellations (tenant_id, webhook_id, id);
