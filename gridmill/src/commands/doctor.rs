//! `gridmill doctor`: whether a grid on AWS has what it needs, and what to do where it has not.

use infra::aws::check::{Finding, Role, Verdict, check};

use crate::cli::{DoctorArgs, DoctorRole};
use crate::console::Console;
use crate::exit::{Exit, Outcome};
use crate::local;

/// Looks, and says what it saw.
pub fn doctor(args: &DoctorArgs, console: Console) -> Outcome {
    let role = match args.role {
        DoctorRole::Manager => Role::Manager,
        DoctorRole::Worker => Role::Worker,
    };
    let findings = local::runtime()?.block_on(check(role, |name| std::env::var(name).ok()));
    if console.json {
        console.document(&serde_json::json!({ "checks": findings }))?;
    } else {
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        console.text(&lines.join("\n"))?;
    }
    Ok(exit(&findings))
}

/// What cannot be reached counts first: nothing more is known of it.
fn exit(findings: &[Finding]) -> Exit {
    // The same as `Verdict::status`, in the words of this program.
    match findings.iter().map(|found| found.verdict).max() {
        Some(Verdict::Unreachable) => Exit::BackEnd,
        Some(Verdict::Wrong) => Exit::Usage,
        Some(Verdict::Ok | Verdict::Advice) | None => Exit::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides() {
        let found = |verdict| Finding { name: String::new(), verdict, seen: String::new(), remedy: None };
        let exit = |verdicts: &[Verdict]| exit(&verdicts.iter().copied().map(found).collect::<Vec<_>>());
        assert_eq!(exit(&[Verdict::Ok, Verdict::Advice]), Exit::Done);
        assert_eq!(exit(&[Verdict::Ok, Verdict::Wrong, Verdict::Advice]), Exit::Usage);
        assert_eq!(exit(&[Verdict::Unreachable, Verdict::Wrong]), Exit::BackEnd);
    }
}
