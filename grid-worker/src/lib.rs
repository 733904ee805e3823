//! pull, stage in, execute, commit, report; drain.
