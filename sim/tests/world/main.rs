//! Managers and workers as they are, in a world in which everything fails.

mod calls;
mod found;
mod mutants;
mod outage;
mod seeds;
