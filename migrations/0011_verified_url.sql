-- The URL whose receiver last showed that it wants events (any URL, where the dialect asks for no challenge): a webhook with
-- another URL must be verified again before it is active, however often it was paused in between.
ALTER TABLE tidings.webhooks ADD COLUMN verified_url text;
