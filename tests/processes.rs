//! The program as a person runs it: how it starts, refuses to start, and ends.
