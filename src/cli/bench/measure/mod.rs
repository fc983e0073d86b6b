//! Trials and what is measured of them.

mod figures;
mod ledger;
mod meter;
mod percentile;
mod process;
mod trial;

#[cfg(test)]
pub(in crate::cli) use figures::Cost;
pub(in crate::cli) use figures::{FlowFigures, Measured, Moment};
pub(in crate::cli) use ledger::Ledger;
pub(in crate::cli) use process::{postmaster_of, resident_bytes};
pub(in crate::cli) use trial::Trial;
