//! Jobs that bring their programs along.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use grid_core::layout;
use grid_core::pipeline::{Pipeline, Stage};
use grid_core::reason::Reason;
use grid_core::submission::{ProgramFile, Submission};
use grid_core::wire::Manifest;

use crate::scripted::{Scripted, writes};
use crate::yard::{Yard, job, numbers, stage, task};

fn program(path: &str, content: &str, executable: bool) -> ProgramFile {
    let digest = format!("blake3:{}", blake3::hash(content.as_bytes()).to_hex());
    ProgramFile { path: path.into(), size: content.len() as u64, digest, executable }
}

fn submission(stages: Vec<Stage>, files: &[(ProgramFile, &str)]) -> Submission {
    let submitted = serde_json::from_str("\"2026-01-01T00:00:00Z\"").unwrap();
    let program_files = files.iter().map(|(file, _)| file.clone()).collect();
    Submission { program_files, ..Submission::new(job(), submitted, "", Pipeline::new("test", stages)) }
}

/// A yard whose job came with these files; what the store has of each is said beside it.
async fn yard(runner: Scripted, files: &[(ProgramFile, &str)]) -> Yard {
    let yard = Yard::with(infra::memory::grid(), runner, &submission(vec![stage("s", numbers(9))], files)).await;
    for (file, stored) in files.iter().filter(|(file, _)| !file.path.contains("..") && !file.path.starts_with('/')) {
        yard.put(&layout::program(&job(), &file.path), (*stored).to_owned()).await;
    }
    yard
}

async fn refused(file: ProgramFile, stored: &str) -> Manifest {
    let yard = yard(Scripted::echo(), &[(file, stored)]).await;
    yard.send(&task("s", 0, 2)).await;
    yard.work().await;
    assert_eq!((yard.runner.runs(), yard.scratch_folders()), (vec![], 0));
    yard.manifest("s", 0, 1).await
}

#[tokio::test(start_paused = true)]
async fn they_are_placed_once_and_removed_in_the_end() {
    let clean = (program("clean", "#!/bin/sh\n", true), "#!/bin/sh\n");
    let library = (program("lib/deep/a.py", "import b\n", false), "import b\n");
    let empty = (program("lib/b.py", "", false), "");
    let yard = yard(Scripted::new(|_, _| writes("x").after(5)), &[clean, library, empty]).await;
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    yard.runner.watch(Box::new({
        let seen = seen.clone();
        move |run| {
            let folder = Path::new(&run.submission.workdir);
            let told = ["clean", "lib/deep/a.py", "lib/b.py"].map(|path| {
                let mode = std::fs::metadata(folder.join(path)).unwrap().permissions().mode() & 0o777;
                format!("{path} {mode:o} {:?}", std::fs::read_to_string(folder.join(path)).unwrap())
            });
            let mut seen = seen.lock().unwrap();
            seen.push(folder.display().to_string());
            seen.extend(told);
        }
    }));
    yard.send(&task("s", 0, 1)).await;
    yard.send(&task("s", 1, 1)).await;
    yard.send(&task("s", 2, 1)).await;
    yard.work().await;
    let seen = seen.lock().unwrap().clone();
    let files = ["clean 555 \"#!/bin/sh\\n\"", "lib/deep/a.py 444 \"import b\\n\"", "lib/b.py 444 \"\""];
    assert_eq!(seen[1..4], files);
    assert_eq!((&seen[..4], &seen[..4]), (&seen[4..8], &seen[8..]), "all three tasks see the same folder");
    assert!(seen[0].starts_with('/') && !Path::new(&seen[0]).exists());
    assert_eq!(yard.scratch_folders(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_what_was_submitted_fails_the_items() {
    let file = program("clean", "right", true);
    for (file, stored) in [(file.clone(), "wrong"), (file, "right, and more"), (program("gone/../up", "", true), "")] {
        let path = file.path.clone();
        let manifest = refused(file, stored).await;
        let failures: Vec<_> = manifest.failed.iter().map(|failed| (failed.first, failed.failure.reason)).collect();
        assert_eq!(failures, [(0, Reason::Setup), (1, Reason::Setup)]);
        let message = &manifest.failed[0].failure.message;
        assert!(message.starts_with(&format!("the program {path:?} cannot be placed on the worker: ")), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_whose_path_leads_out_of_the_folder_is_refused() {
    for path in ["../x", "/tmp/x", "a/../../x"] {
        let manifest = refused(program(path, "x", true), "x").await;
        let message = &manifest.failed[0].failure.message;
        assert!(message.ends_with("that is no path below a folder"), "{message}");
    }
}
