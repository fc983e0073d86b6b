//! A figure that a scenario is about, and the goal for it.

use serde::Serialize;

use super::numbers::{known, short};
use crate::cli::paint::Paint;

/// The figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(in crate::cli) struct Finding {
    name: String,
    /// `None` where it cannot be known.
    value: Option<f64>,
    unit: &'static str,
    at_least: Option<f64>,
    at_most: Option<f64>,
    /// Whether the goal is reached, where there is a goal and a value.
    is_reached: Option<bool>,
}

impl Finding {
    /// One with a lower bound.
    pub(in crate::cli) fn at_least(name: &str, value: Option<f64>, goal: f64, unit: &'static str) -> Self {
        let is_reached = value.map(|value| value >= goal);
        Self { at_least: Some(goal), is_reached, ..Self::told(name, value, unit) }
    }

    /// One with an upper bound.
    pub(in crate::cli) fn at_most(name: &str, value: Option<f64>, goal: f64, unit: &'static str) -> Self {
        let is_reached = value.map(|value| value <= goal);
        Self { at_most: Some(goal), is_reached, ..Self::told(name, value, unit) }
    }

    /// One without a goal.
    pub(in crate::cli) fn told(name: impl Into<String>, value: Option<f64>, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, at_least: None, at_most: None, is_reached: None }
    }

    /// A line for people.
    pub(super) fn text(&self, paint: Paint) -> String {
        let mark = match self.is_reached {
            Some(true) => paint.green("✓"),
            Some(false) => paint.red("✗"),
            None => paint.dim("·"),
        };
        // A rate is written together with its unit.
        let space = if self.unit.starts_with('/') || self.value.is_none() { "" } else { " " };
        let unit = if self.value.is_none() { "" } else { self.unit };
        let goal = match (self.at_least, self.at_most) {
            (Some(goal), _) => format!("  (goal: at least {})", short(goal)),
            (None, Some(goal)) => format!("  (goal: at most {})", short(goal)),
            (None, None) => String::new(),
        };
        format!("{mark} {}: {}{space}{unit}{}", self.name, known(self.value), paint.dim(goal))
    }
}

/// How much one figure is of another.
pub(in crate::cli) fn ratio(value: Option<f64>, base: Option<f64>) -> Option<f64> {
    let base = base.filter(|base| *base > 0.0)?;
    Some(value? / base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_needs_both() {
        assert_eq!(ratio(Some(3.0), Some(2.0)), Some(1.5));
        assert_eq!([ratio(None, Some(2.0)), ratio(Some(3.0), Some(0.0)), ratio(Some(3.0), None)], [None; 3]);
    }

    #[test]
    fn a_bound_itself_is_within() {
        assert_eq!(Finding::at_most("x", Some(0.0), 0.0, "").is_reached, Some(true));
        assert_eq!(Finding::at_least("x", Some(0.9), 0.9, "").is_reached, Some(true));
        assert_eq!(Finding::at_least("x", None, 0.9, "").is_reached, None);
    }
}
