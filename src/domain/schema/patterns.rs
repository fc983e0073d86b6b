//! What the patterns of a schema take.

use jsonschema::{PatternOptions, Regex};
use regex_automata::meta::{Builder, Config};

/// Bytes that the automaton of a pattern may take; one that would take more is refused.
const AUTOMATON_BYTES: usize = 256 * 1024;
/// Bytes that searches may remember, in each direction.
const SEARCH_BYTES: usize = 64 * 1024;
/// What a pattern takes that says nothing of itself: some 7,000 were measured.
const REST_BYTES: usize = 8 * 1024;

/// How patterns are compiled.
pub(super) fn options() -> PatternOptions<Regex> {
    PatternOptions::regex().size_limit(AUTOMATON_BYTES).dfa_size_limit(SEARCH_BYTES)
}

/// Bytes that a pattern takes; found by compiling it as the schema will. One that cannot be compiled is refused there.
pub(super) fn size(pattern: &str) -> usize {
    let Ok(translated) = jsonschema_regex::to_rust_regex(pattern) else { return 0 };
    let config = Config::new().nfa_size_limit(Some(AUTOMATON_BYTES)).hybrid_cache_capacity(SEARCH_BYTES);
    // A search that remembers nothing more marks where it was instead: that takes less than the automaton.
    Builder::new()
        .configure(config)
        .build(&translated)
        .map_or(0, |regex| 2 * regex.memory_usage() + 2 * SEARCH_BYTES + REST_BYTES)
}
