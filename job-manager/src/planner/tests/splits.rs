use std::sync::Arc;

use grid_core::layout;
use grid_core::submission::PinnedFile;
use infra::objects::FolderObjects;
use proptest::prelude::*;

use super::*;

const CSV: &str = "{format: csv, header: true}";
const TEXT: &str = "{format: text}";
const COMPRESSIONS: [Compression; 4] = [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Bzip2];

const ROWS: &[u8] = b"\xef\xbb\xbfid,note\r\n1,\"two\nlines\"\r\n2,plain\r\n3,\"a \"\"quote\"\"\"\r\n\r\n";

#[tokio::test]
async fn records_are_cut_inside_compressed_files_as_in_plain_ones() {
    for compression in COMPRESSIONS {
        let (first, second) = ROWS.split_at(29);
        let stored = [compress(first, compression), compress(second, compression)].concat();
        let job = Job::new(CSV, "split: {input: data, by: records, count: 2}").with_file("d", &stored).await;
        let (summary, _) = job.slices().await;
        assert_eq!(summary, PlanSummary { v: 1, items: 2, bytes: 43, records: Some(3) }, "{compression:?}");
        let expected = ["id,note\r\n1,\"two\nlines\"\r\n2,plain\r\n", "id,note\r\n3,\"a \"\"quote\"\"\"\r\n\r\n"];
        assert_eq!(job.contents().await, expected);
    }
}

#[tokio::test]
async fn rules_about_bytes_leave_compressed_files_in_one_piece() {
    for compression in &COMPRESSIONS[1..] {
        for rule in ["by: bytes, target: 4B", "by: even, parts: 3", "by: files, count: 1"] {
            let job = Job::new(CSV, &format!("split: {{input: data, {rule}}}"));
            let job = job.with_file("a", &compress(b"h\n1\n2\n3\n4\n", *compression)).await;
            let job = job.with_file("b", &compress(b"h\n", *compression)).await;
            let job = job.with_file("c", &compress(b"h\n5\n6\n7\n8", *compression)).await;
            assert_eq!(job.contents().await, ["h\n1\n2\n3\n4\n", "h\n5\n6\n7\n8"], "{rule}");
            assert_eq!(job.split().await.unwrap(), PlanSummary { v: 1, items: 2, bytes: 15, records: Some(8) });
        }
    }
}

#[tokio::test]
async fn every_rule_cuts_plain_files_where_it_says() {
    let rules = [
        ("by: bytes, target: 3B", vec!["h\n1\n2\n", "h\n3\n", "h\n4\n5\n", "h\n6\n"]),
        ("by: lines, count: 2", vec!["h\n1\n2\n", "h\n3\n", "h\n4\n5\n", "h\n6\n"]),
        ("by: records, count: 5", vec!["h\n1\n2\n3\n", "h\n4\n5\n6\n"]),
        ("by: files, count: 2", vec!["h\n1\n2\n3\n4\n5\n6\n"]),
        ("by: even, parts: 2", vec!["h\n1\n2\n3\n", "h\n4\n5\n6\n"]),
        ("by: even, parts: 4", vec!["h\n1\n", "h\n2\n3\n", "h\n4\n5\n", "h\n6\n"]),
    ];
    for (rule, expected) in rules {
        let job = Job::new(CSV, &format!("split: {{input: data, {rule}}}"));
        let job = job.with_file("a", b"h\n1\n2\n3").await.with_file("b", b"h\n4\n5\n6\n").await;
        let contents = job.contents().await;
        let contents: Vec<String> = contents
            .into_iter()
            .map(|content| if content.ends_with('\n') { content } else { content + "\n" })
            .collect();
        assert_eq!(contents, expected, "{rule}");
    }
}

#[tokio::test]
async fn an_input_without_records_has_no_items_and_no_chunks() {
    let job = Job::new(CSV, "split: {input: data, by: bytes, target: 1MiB}").with_file("d", b"a,b\r\n").await;
    assert_eq!(job.slices().await, (PlanSummary { v: 1, items: 0, bytes: 0, records: Some(0) }, vec![]));
    assert_eq!(job.keys().await, ["jobs/job/work/plan/summary.json"]);
}

#[tokio::test]
async fn many_items_are_written_in_chunks_as_they_are_found() {
    let lines: String = (0..20_000).map(|line| format!("{line}\n")).collect();
    let job = Job::new(TEXT, "split: {input: data, by: lines, count: 1}").with_file("d", lines.as_bytes()).await;
    let mut told = Vec::new();
    plan(&job.grid, &job.submission, job.stage(), |progress| told.push(progress)).await.unwrap();
    let items: Vec<u32> = told.iter().map(|progress| progress.items).collect();
    assert_eq!(items, [8_192, 16_384, 20_000]);
    let all = PlanProgress { items: 20_000, bytes: lines.len() as u64, records: Some(20_000) };
    assert_eq!(told.last(), Some(&all));
    let reader = PlanReader::new(job.grid.objects.clone());
    let slice = reader.slice(&job.submission.job, &job.stage().name, 16_400).await.unwrap();
    assert_eq!((slice.part, slice.bytes(), slice.records), (16_400, 6, Some(1)));
    assert!(reader.slice(&job.submission.job, &job.stage().name, 20_000).await.is_err());
    assert!(reader.value(&job.submission.job, &job.stage().name, 0).await.is_err());
}

#[tokio::test]
async fn planning_again_says_the_same() {
    let job = Job::new(TEXT, "split: {input: data, by: even, parts: 3}").with_file("d", b"1\n2\n3\n4\n").await;
    let first = job.slices().await;
    assert_eq!(job.slices().await, first, "from the summary");
    job.grid.objects.delete("jobs/job/work/plan/summary.json").await.unwrap();
    assert_eq!(job.slices().await, first, "after a crash before the summary");
}

#[tokio::test]
async fn a_plan_that_differs_from_an_earlier_one_is_refused() {
    let job = Job::new(TEXT, "split: {input: data, by: even, parts: 3}").with_file("d", b"1\n2\n3\n4\n").await;
    let chunk = layout::plan_chunk(&job.submission.job, &job.stage().name, 0);
    job.grid.objects.put(&chunk, Bytes::from_static(b"{}")).await.unwrap();
    assert!(matches!(job.split().await, Err(PlanError::Unsound(message)) if message.contains(&chunk)));
}

#[tokio::test]
async fn a_plan_can_be_made_by_a_task_of_its_own() {
    let job = Job::new(TEXT, "split: {input: data, by: lines, count: 2}").with_file("d", b"1\n2\n3\n").await;
    let planned = tokio::spawn(async move {
        let counted = count(&job.grid.sources, &job.submission, job.stage()).await.unwrap();
        (counted.items, plan(&job.grid, &job.submission, job.stage(), |_| {}).await.unwrap().items)
    });
    assert_eq!(planned.await.unwrap(), (2, 2));
}

#[tokio::test]
async fn counting_writes_nothing() {
    let job = Job::new(TEXT, "split: {input: data, by: lines, count: 2}").with_file("d", b"1\n2\n3\n").await;
    let counted = count(&job.grid.sources, &job.submission, job.stage()).await.unwrap();
    assert_eq!(job.keys().await, [] as [String; 0]);
    assert_eq!(job.split().await.unwrap(), counted);
}

#[tokio::test]
async fn a_long_record_is_refused_with_file_place_limit_and_remedy() {
    let content = [&b"short\n"[..], &[b'x'; 2_000], b"\nshort\n"].concat();
    for (format, rule) in
        [("text", "by: lines, count: 1"), ("text", "by: bytes, target: 500B"), ("csv", "by: even, parts: 5")]
    {
        let input = format!("{{format: {format}, max_record: 1KiB}}");
        for compression in COMPRESSIONS {
            let job = Job::new(&input, &format!("split: {{input: data, {rule}}}"));
            let message = input_fault(job.with_file("d", &compress(&content, compression)).await.split().await);
            for part in ["grid://d", "at byte ", "1024 bytes", "max_record:"] {
                assert!(message.contains(part), "{format} {rule} {compression:?}: {message}");
            }
        }
    }
}

#[tokio::test]
async fn inputs_that_are_not_what_they_were_cannot_be_planned() {
    let by_lines = "split: {input: data, by: lines, count: 1}";
    let stored = compress(b"1\n2\n3\n", Compression::Gzip);
    let damaged = Job::new(TEXT, by_lines).with_file("d.gz", &stored[..stored.len() - 3]).await;
    assert!(input_fault(damaged.split().await).starts_with("grid://d.gz is damaged"));
    let changed = Job::new(TEXT, by_lines).with_file("d", b"1\n2\n").await;
    changed.grid.objects.put("d", Bytes::from_static(b"1\n3\n")).await.unwrap();
    assert!(input_fault(changed.split().await).starts_with("grid://d was changed"));
    changed.grid.objects.delete("d").await.unwrap();
    assert!(input_fault(changed.split().await).starts_with("grid://d is not there"));
}

#[tokio::test]
async fn ten_gigabytes_are_planned_by_a_little_reading_at_each_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.txt");
    let (size, target) = (10_u64 << 30, 32_u64 << 20);
    // Nearly all of it is a hole; scanning it would meet records above the limit.
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(size).unwrap();
    for cut in 1..size / target {
        std::os::unix::fs::FileExt::write_all_at(&file, b"\n", cut * target + 100).unwrap();
    }
    let mut job = Job::new(TEXT, "split: {input: data, by: bytes, target: 32MiB}");
    job.grid.sources = job.grid.sources.with("file", Arc::new(FolderObjects::read_only("/")));
    let uri = format!("file://{}", path.display());
    let (store, key) = job.grid.sources.locate(&uri).unwrap();
    let version = store.head(key).await.unwrap().version;
    let pinned = PinnedFile {
        uri: uri.clone(),
        name: "big.txt".into(),
        size,
        version,
        digest: "not needed".into(),
        compression: Compression::None,
    };
    job.submission.inputs.insert("data".into(), vec![pinned]);
    let (summary, slices) = job.slices().await;
    assert_eq!(summary, PlanSummary { v: 1, items: 320, bytes: size, records: None });
    assert_eq!(slices[1].segments[0].start, target + 101);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn compressed_files_give_the_items_of_plain_ones(
        files in prop::collection::vec("(\u{feff})?([ab,\"\n]|\r\n){0,60}", 1..4), csv: bool, header: bool, count in 1..5_u64,
    ) {
        let input = format!("{{format: {}, header: {}}}", if csv { "csv" } else { "text" }, csv && header);
        let planned = |compression| {
            let (input, files) = (input.clone(), files.clone());
            tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async move {
                let mut job = Job::new(&input, &format!("split: {{input: data, by: records, count: {count}}}"));
                for (number, file) in files.iter().enumerate() {
                    // Two members, cut anywhere.
                    let (first, second) = file.as_bytes().split_at(file.len() / 2);
                    let stored = [compress(first, compression), compress(second, compression)].concat();
                    job = job.with_file(&format!("file{number}"), &stored).await;
                }
                (job.slices().await, job.contents().await)
            })
        };
        let plain = planned(Compression::None);
        for compression in &COMPRESSIONS[1..] {
            prop_assert_eq!(&planned(*compression), &plain);
        }
    }
}
