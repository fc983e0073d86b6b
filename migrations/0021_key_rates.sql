-- How often a key may ask, per process. Older versions write and read neither column. Keys are few, so
-- checking those there are takes no time worth a second step.
ALTER TABLE tidings.api_keys
    -- Requests a second; NULL: as the configuration says.
    ADD COLUMN requests_per_second integer,
    -- Requests at once, out of rest; NULL exactly where there is no rate.
    ADD COLUMN burst integer,
    -- A key that may never ask is a revoked one.
    ADD CONSTRAINT rate_in_range CHECK (requests_per_second BETWEEN 1 AND 100000),
    -- As many at once as ten seconds at the highest rate bring.
    ADD CONSTRAINT burst_in_range CHECK (burst BETWEEN 1 AND 1000000),
    -- A burst without a rate means nothing.
    ADD CONSTRAINT burst_with_rate CHECK ((requests_per_second IS NULL) = (burst IS NULL));
