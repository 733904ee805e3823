//! What of this process's own environment commands may see: they are strangers' programs, and the worker's credentials are
//! none of their business.

use std::ffi::OsString;

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
}
