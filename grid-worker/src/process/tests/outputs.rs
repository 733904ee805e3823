//! The output folder, standard error, limits of the machine.

use grid_core::units::ByteSize;
use grid_core::wire::OutputFile;

use super::*;

fn file(item: u32, name: &str, content: &str) -> OutputFile {
    OutputFile { item, name: name.into(), len: content.len() as u64, crc32: crc32fast::hash(content.as_bytes()) }
}

async fn refusal(script: &str) -> String {
    let trial = shell(&format!("cd \"$GRIDMILL_OUTPUT_DIR\"; {script}"));
    let ran = trial.run(1).await;
    let failure = failures(&ran).remove(0);
    assert_eq!((failure.reason, ran.pack.len()), (Reason::Output, 0));
    failure.message
}

#[tokio::test]
async fn files_follow_an_items_standard_output_in_the_order_of_their_names() {
    let trial = shell(
        "cd \"$GRIDMILL_OUTPUT_DIR\"; test -z \"$(ls -A)\"; echo $GRIDMILL_INDEX; mkdir -p a/empty; printf 2 > b; printf 1 > a/z; ln -s b a-link",
    );
    let ran = trial.run(2).await;
    let files = |item| vec![file(item, "a-link", "2"), file(item, "a/z", "1"), file(item, "b", "2")];
    let stdout = |text: &str| (2, crc32fast::hash(text.as_bytes()));
    assert_eq!(
        ran.items,
        [
            ItemRan::Ok { stdout: stdout("0\n"), files: files(0) },
            ItemRan::Ok { stdout: stdout("1\n"), files: files(1) }
        ]
    );
    assert_eq!(pack_text(&ran), "0\n2121\n212");
}

#[tokio::test]
async fn what_would_leave_the_output_folder_is_refused() {
    assert_eq!(
        refusal("ln -s /etc/passwd p").await,
        "\"p\" in GRIDMILL_OUTPUT_DIR is a link that leaves the folder; copy the file instead"
    );
    assert!(refusal("ln -s / root").await.contains("leaves the folder"));
    assert!(refusal("ln -s nothing n").await.contains("link to nothing"));
    assert!(refusal("mkfifo f").await.contains("neither a file nor a folder"));
    assert!(refusal("touch \"$(printf 'a\\001b')\"").await.contains("control character"));
    assert!(refusal("touch \"$(printf '\\377')\"").await.contains("not UTF-8"));
}

#[tokio::test]
async fn an_output_folder_that_a_command_removed_is_there_for_the_next() {
    let trial = shell(
        "test -d \"$GRIDMILL_OUTPUT_DIR\"; test $GRIDMILL_INDEX = 2 || rm -r \"$GRIDMILL_OUTPUT_DIR\"; test $GRIDMILL_INDEX != 1; if test $GRIDMILL_INDEX = 2; then printf x > \"$GRIDMILL_OUTPUT_DIR/x\"; fi",
    );
    let ran = trial.run(3).await;
    assert_eq!(ran.items[0], ok(""));
    assert_eq!(exit(&failures(&ran)[0]), (Reason::Exit, Some(1)));
    assert_eq!(ran.items[2], ItemRan::Ok { stdout: (0, 0), files: vec![file(2, "x", "x")] });
}

#[tokio::test]
async fn a_huge_standard_error_is_kept_at_both_ends() {
    let trial = shell("echo first >&2; head -c 3000000 /dev/zero | tr '\\0' x >&2; echo last >&2; exit 3");
    let ran = trial.run(1).await;
    let log: serde_json::Value = serde_json::from_slice(&ran.log).unwrap();
    assert!(log["head"].as_str().unwrap().starts_with("first\nxxx"));
    assert!(log["tail"].as_str().unwrap().ends_with("xxxlast\n"));
    assert_eq!(log["dropped_bytes"], 3_000_000 + 6 + 5 - 131_072);
    let failure = &failures(&ran)[0];
    assert!(failure.stderr.len() == 2_048 && failure.stderr.ends_with("xlast\n"));
}

#[tokio::test]
async fn progress_is_told_while_an_item_runs() {
    let trial = shell("echo 'gridmill: progress 0.5 half' >&2; while ! test -e go; do sleep 0.01; done");
    let (progress, go) = (Arc::clone(&trial.progress), trial.workdir().join("go"));
    let watch = async {
        while progress.said.lock().unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(*progress.said.lock().unwrap(), Some((0.5, "half".into())));
        std::fs::write(go, "").unwrap();
    };
    let (ran, ()) = tokio::join!(trial.run(1), watch);
    assert_eq!(ran.items, [ok("")]);
    assert_eq!(*progress.said.lock().unwrap(), None);
}

#[tokio::test]
async fn address_space_is_limited_as_the_stage_says_and_the_message_multiplies() {
    let limit = |trial: Trial| trial.with(|stage| stage.resources.memory = Some(ByteSize(64 << 20)));
    assert_eq!(pack_text(&limit(shell("ulimit -v")).run(1).await), "65536\n");
    let mut doubled = limit(argv(&["sh", "-c", "ulimit -v; echo \"$0|$1\"", "a b", "c"]));
    doubled.memory_factor = 2.0;
    assert_eq!(pack_text(&doubled.run(1).await), "131072\na b|c\n");
    assert_eq!(exit(&limit(argv(&["no-such-program"])).failure().await), (Reason::Exit, Some(127)));
}

#[tokio::test]
async fn a_command_that_says_it_got_too_little_memory_is_out_of_memory_under_a_limit_only() {
    let limit = |trial: Trial| trial.with(|stage| stage.resources.memory = Some(ByteSize(64 << 20)));
    let says = || shell("echo 'sort: memory exhausted' >&2; exit 2");
    assert_eq!(exit(&says().failure().await), (Reason::Exit, Some(2)));
    assert_eq!(exit(&limit(says()).failure().await), (Reason::Oom, Some(2)));
    let crashes = limit(shell("echo \"terminate called after throwing 'std::bad_alloc'\" >&2; kill -ABRT $$"));
    let failure = crashes.failure().await;
    assert_eq!((failure.reason, failure.signal), (Reason::Oom, Some(6)));
    let mut allocates = limit(argv(&["python3", "-c", "b'x' * (100 << 20)"]));
    assert_eq!(exit(&allocates.failure().await), (Reason::Oom, Some(1)));
    allocates.memory_factor = 4.0;
    assert_eq!(allocates.run(1).await.items, [ok("")]);
}

#[tokio::test]
async fn a_full_scratch_disk_is_no_fault_of_the_command() {
    // /dev/full takes the place of the pack: every write to it says that there is no room.
    let trial = shell("head -c 100000 /dev/zero");
    let task = trial.task(1, Vec::new());
    std::os::unix::fs::symlink("/dev/full", task.scratch.join("pack")).unwrap();
    let ran = runner().run(task).await;
    assert_eq!(failures(&ran)[0].reason, Reason::DiskFull);
}
