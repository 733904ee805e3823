//! What of this process's own environment commands may see: they are strangers' programs, and the worker's credentials are
//! none of their business.

use std::ffi::OsString;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// What any program may need to run at all.
const PLAIN: [&str; 8] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR"];

/// The variables that commands begin with: the plain ones, and those that the settings name.
pub fn for_commands(vars: impl Iterator<Item = (OsString, OsString)>, passed: &[String]) -> Vec<(OsString, OsString)> {
    let is_ours = |name: &str| name.starts_with("AWS_") || name.starts_with("GRIDMILL_");
    let is_wanted = |name: &str| {
        PLAIN.contains(&name) || name.starts_with("LC_") || passed.iter().any(|passed| passed.trim() == name)
    };
    vars.filter(|(name, _)| name.to_str().is_some_and(|name| is_wanted(name) && !is_ours(name))).collect()
}

/// Keeps memory and environment of this process from other processes of its user, as commands are: they cannot read its
/// `/proc/PID/environ` any more, nor trace it, and it leaves no core dump.
pub fn hide() -> rustix::io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_handed_on_even_when_somebody_asks_for_them() {
        let all = ["PATH", "LC_ALL", "AWS_SECRET_ACCESS_KEY", "GRIDMILL_BUCKET", "TOKEN", "JAVA_HOME"];
        let vars = all.iter().map(|name| ((*name).into(), "x".into()));
        let passed = ["JAVA_HOME", "AWS_SECRET_ACCESS_KEY", "GRIDMILL_BUCKET"].map(str::to_owned);
        let seen: Vec<_> = for_commands(vars, &passed).into_iter().map(|(name, _)| name).collect();
        assert_eq!(seen, ["PATH", "LC_ALL", "JAVA_HOME"]);
    }

    #[test]
    fn a_hidden_process_cannot_be_looked_into() {
        hide().unwrap();
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
