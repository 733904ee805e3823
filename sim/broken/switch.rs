//! Which rule is broken; only in the copy of the sources that `tests/simulate` makes.

use std::cell::Cell;

/// Every rule: its name, the seeds within which it is caught, the climate of these seeds, and what is wrong.
pub const ALL: &[(&str, u64, &str, &str)] = &[
    // (name, seeds, climate, what)
];

thread_local! {
    static BROKEN: Cell<&'static str> = const { Cell::new("") };
}

/// Breaks a rule for what runs in this thread, and mends every other.
pub fn set(name: &'static str) {
    BROKEN.set(name);
}

/// Whether a rule is broken.
pub fn is(name: &str) -> bool {
    BROKEN.get() == name
}
