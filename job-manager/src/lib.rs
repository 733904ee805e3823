//! submit, plan, dispatch, collect, chain, reconcile.

pub mod planner;
