//! The command `gridmill`.
fn main() {}
