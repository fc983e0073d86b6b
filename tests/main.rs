//! Behaviour tests: each file is named by the behaviour it describes, and each test by what must hold.

mod golden_vectors;
mod layers;
mod query_cache;
mod support;
