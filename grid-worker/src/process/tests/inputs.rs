//! How inputs reach their commands.

use futures::StreamExt;
use infra::objects::ByteStream;

use super::*;

fn stream(pieces: &[&'static str]) -> ByteStream {
    futures::stream::iter(pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect::<Vec<_>>())
        .boxed()
}

fn broken_stream(first: &'static str) -> ByteStream {
    let error = infra::Error::new(infra::ErrorKind::Invalid, "object in/ledger.csv has changed");
    futures::stream::iter([Ok(Bytes::from_static(first.as_bytes())), Err(error)]).boxed()
}

#[tokio::test]
async fn two_hundred_megabytes_pass_through_unchanged_in_bounded_memory() {
    const PIECES: u32 = 3_200;
    let piece = |number: u32| Bytes::from(number.to_le_bytes().repeat(1 << 14));
    let mut sum = crc32fast::Hasher::new();
    (0..PIECES).for_each(|number| sum.update(&piece(number)));
    let input = futures::stream::iter(0..PIECES).map(move |number| Ok(piece(number))).boxed();
    let trial = argv(&["cat"]);
    let ran = trial.feed(vec![ItemInput::Stream(input)]).await;
    let len = u64::from(PIECES) << 16;
    assert_eq!(ran.items, [ItemRan::Ok { stdout: (len, sum.finalize()), files: vec![] }]);
    assert!(matches!(ran.pack, Spool::File { len: on_disk, .. } if on_disk == len));
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak_kib < 150 << 10, "{peak_kib} KiB");
}

#[tokio::test]
async fn an_input_that_fails_is_never_taken_for_a_short_one() {
    let trial = shell("cat; echo end");
    let ran = trial.feed(vec![ItemInput::Stream(broken_stream("part")), bytes("whole ")]).await;
    let message = "the input of item i0,it%27s%200 could not be read: object in/ledger.csv has changed";
    assert_eq!(ran.items, [ItemRan::Failed(Failure::new(Reason::Input, message)), ok("whole end\n")]);
    assert_eq!(pack_text(&ran), "whole end\n");
}

#[tokio::test]
async fn an_input_that_could_not_be_had_fails_its_item_alone() {
    let failure = Failure::new(Reason::Input, "a.csv is gone");
    let ran = argv(&["cat"]).feed(vec![ItemInput::Failed(failure.clone()), bytes("x")]).await;
    assert_eq!(ran.items, [ItemRan::Failed(failure), ok("x")]);
}

#[tokio::test]
async fn an_input_may_come_as_a_file() {
    let trial = shell("test -z \"$(cat)\"; cat \"$GRIDMILL_INPUT\"; chmod 0 \"$GRIDMILL_INPUT\"")
        .with(|stage| stage.input_as = InputAs::File);
    let ran = trial.feed(vec![bytes("bytes"), ItemInput::Stream(stream(&["st", "ream"])), ItemInput::None]).await;
    assert_eq!(ran.items, [ok("bytes"), ok("stream"), ok("")]);
    let ran = trial.feed(vec![ItemInput::Stream(broken_stream("part"))]).await;
    assert_eq!(failures(&ran)[0].reason, Reason::Input);
    // A stage without any input has no such file.
    let ran = shell("echo ${GRIDMILL_INPUT-unset}").with(|stage| stage.input_as = InputAs::File).run(1).await;
    assert_eq!(ran.items, [ok("unset\n")]);
}

#[tokio::test]
async fn an_input_may_come_as_files_of_a_folder() {
    let trial = shell("cd \"$GRIDMILL_INPUT_DIR\"; for f in *; do printf '%s=' \"$f\"; cat \"$f\"; done")
        .with(|stage| stage.input_as = InputAs::Files);
    let files =
        |names: &[&str]| ItemInput::Files(names.iter().map(|name| ((*name).to_owned(), stream(&["x", "y"]))).collect());
    let ran = trial.feed(vec![files(&["b", "a"]), files(&["c"]), bytes("one")]).await;
    assert_eq!(ran.items, [ok("a=xyb=xy"), ok("c=xy"), ok("i2,it%27s%202=one")]);
    let ran = trial.feed(vec![files(&["../escape"])]).await;
    assert_eq!(failures(&ran)[0].reason, Reason::Input);
}

#[tokio::test]
async fn a_bundle_is_one_process_for_all_inputs() {
    let trial = shell("cat; echo \" $GRIDMILL_ITEM_FIRST+$GRIDMILL_ITEM_COUNT ${GRIDMILL_ITEM-none} ${GRIDMILL_KEY_ITEM-none}\"; echo x > \"$GRIDMILL_OUTPUT_DIR/f\"")
        .with(|stage| stage.per = Per::Bundle);
    let inputs = vec![bytes("a"), ItemInput::Stream(stream(&["b", "c"])), ItemInput::None, bytes("d")];
    let ran = trial.feed(inputs).await;
    let stdout = "abcd 0+4 none none\n";
    let file = grid_core::wire::OutputFile { item: 0, name: "f".into(), len: 2, crc32: crc32fast::hash(b"x\n") };
    assert_eq!(
        ran.items,
        [ItemRan::Ok { stdout: (stdout.len() as u64, crc32fast::hash(stdout.as_bytes())), files: vec![file] }]
    );
    assert_eq!(pack_text(&ran), format!("{stdout}x\n"));
    assert_eq!(trial.progress.items_done.load(std::sync::atomic::Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_bundle_fails_as_a_whole() {
    let trial = argv(&["cat"]).with(|stage| stage.per = Per::Bundle);
    let ran = trial.feed(vec![bytes("a"), ItemInput::Stream(broken_stream("b")), bytes("c")]).await;
    assert_eq!((ran.items.len(), failures(&ran)[0].reason, ran.pack.len()), (1, Reason::Input, 0));
}

#[tokio::test]
async fn a_bundle_may_have_a_folder_of_files_for_each_item() {
    let trial = shell("cd \"$GRIDMILL_INPUT_DIR\"; grep -r . * | sort").with(|stage| {
        stage.per = Per::Bundle;
        stage.input_as = InputAs::Files;
    });
    let files = || ItemInput::Files(vec![("f".to_owned(), stream(&["x"]))]);
    let ran = trial.feed(vec![files(), files()]).await;
    assert_eq!(pack_text(&ran), "i0,it%27s%200/f:x\ni1,it%27s%201/f:x\n");
}
