-- How often in a row a delivery's lease ended without a result: the process that held it died, or stood still for longer than its lease.
-- Such a lease counts as no attempt, since most of what a process holds has not been sent; but what kills each process that sends it must
-- come to an end.
ALTER TABLE tidings.outbox ADD COLUMN lapses smallint NOT NULL DEFAULT 0;
