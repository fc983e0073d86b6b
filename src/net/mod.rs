//! The way out
mod forbidden;
pub mod guard;
pub mod target;
#[cfg(test)]
mod tests;
pub mod url_error;
