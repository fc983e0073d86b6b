-- How new a program must be to work with this schema. Migrations expand it, which no program minds; one that contracts it, once
-- nothing in use needs what it takes away, raises this to the first version of the programs that do not.
CREATE TABLE tidings.schema_floor (
    -- There is one row.
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    -- The migration that a program must know.
    version bigint NOT NULL
);
INSERT INTO tidings.schema_floor (version) VALUES (1);
