//! measurements against peers and limits.
