//! Tools that do the same, where they are installed.

use std::process::Command;

use crate::Setting;
use crate::cost::{Cost, of_program};
use crate::rounds::Tool;
use crate::table;

/// Those that are installed, each running `/bin/true` two at a time.
pub fn of_commands(setting: &Setting, count: u64) -> anyhow::Result<Vec<Tool<'static>>> {
    let makefile = setting.file("Makefile");
    let targets: Vec<String> = (0..count).map(|item| format!("t{item}")).collect();
    std::fs::write(&makefile, format!(".PHONY: all {0}\nall: {0}\n{0}:\n\t@/bin/true\n", targets.join(" ")))?;
    let makefile = makefile.display();
    // A tenth of the items: it takes several milliseconds each.
    let few = count / 10;
    let known = [
        ("make", "make -j2", count, format!("make -s -j2 -f {makefile}")),
        ("xargs", "xargs -P2", count, format!("seq {count} | xargs -n1 -P2 /bin/true")),
        ("parallel", "GNU parallel -j2", few, format!("seq {few} | parallel -j2 /bin/true")),
    ];
    let mut tools = Vec::new();
    for (program, name, count, script) in known {
        if is_installed(program) {
            tools.push(Tool::new(name, count, move || shell(&script)));
        } else {
            table::not_installed(name);
        }
    }
    Ok(tools)
}

/// What a line of shell costs.
pub fn shell(script: &str) -> anyhow::Result<Cost> {
    of_program(Command::new("sh").args(["-c", script]))
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
