//! Files are called as people call them, not as programs would like.

use std::collections::BTreeSet;

use gridmill_tests::fleet::{Fleet, get};

use super::{fetched, local};

/// One item a file: it says what it was told that its file is called, and gives the file back.
const ECHO: &str = "
name: echo
inputs:
  files: {format: text}
stages:
  each: {split: {input: files, by: files, count: 1}, run: 'printf \"%s\\n\" \"$GRIDMILL_KEY_FILE\"; cat'}
";

/// What shells, forms, URLs, object keys, XML and DynamoDB each stumble over.
fn awkward() -> Vec<String> {
    let mut names: Vec<String> = [
        "plain.csv",
        "with space.csv",
        " leading and trailing ",
        "-rf",
        "--help",
        "$HOME `id` $(id) ;&|",
        "quote'\"s.csv",
        "back\\slash.csv",
        "%22%2F..%2e.csv",
        "100%.csv",
        "a+b=c&d?e#f.csv",
        "*?[a].csv",
        "...csv",
        ".hidden",
        "~",
        "<&amp;>.xml",
        "umläut-ампер-日本-🦀.csv",
        // The same word to people, and two names to computers.
        "caf\u{e9}",
        "cafe\u{301}",
        "\u{202e}gpj.exe",
        "job",
        "NUL",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push("n".repeat(250));
    names
}

/// What lies in a folder goes to the manager and comes back, each under its own name, as in a run on this machine.
pub fn files_of_awkward_names_arrive_as_they_are() -> anyhow::Result<()> {
    let fleet = Fleet::new()?;
    fleet.write("p.yaml", ECHO)?;
    std::fs::create_dir(fleet.path("in"))?;
    for (nth, name) in awkward().iter().enumerate() {
        fleet.write(&format!("in/{name}"), format!("content {nth}\n"))?;
    }
    let manager = fleet.manager("manager")?;
    let _worker = fleet.worker("worker")?;
    let url = format!("http://{}", manager.address);
    fleet.succeeds(&["submit", "p.yaml", "--input", "files=in", "--watch", "--json", "--manager", &url])?;
    let newest = get(&manager.address, "/v1/jobs")?.json()?["entries"][0]["job"].clone();
    let there = fetched(&fleet, &manager.address, newest.as_str().unwrap_or_default())?;
    assert_eq!(there, local(&fleet, &["--input", "files=in"])?);
    // Of a folder, what is hidden stays hidden.
    let all = awkward();
    let files: Vec<_> = all.iter().enumerate().filter(|(_, name)| !name.starts_with('.')).collect();
    assert_eq!(all.len() - files.len(), 2);
    let expected: BTreeSet<String> = files.iter().map(|(nth, name)| format!("{name}\ncontent {nth}\n")).collect();
    let given: BTreeSet<String> = there.values().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    assert_eq!(given, expected);

    // What no store can list is refused by its name, before anything runs.
    fleet.write("in/new\nline.csv", "content\n")?;
    let refused = fleet.gridmill(&["submit", "p.yaml", "--input", "files=in", "--manager", &url])?;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("line.csv") && said.contains("control characters"), "{said}");
    Ok(())
}
