-- The number of the lease that a dead letter died of, where nothing was sent under it: one more than `attempts`, which counts what was
-- made. A delivery that is made pending again goes on from there, so that no lease is like an earlier one of the same dispatcher:
-- a result whose recording is repeated, because its answer was lost, must not settle a later attempt. NULL, as for most, is `attempts`.
ALTER TABLE tidings.dead_letters ADD COLUMN number smallint;
