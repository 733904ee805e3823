//! The submission, `job.json`: the pipeline as it was understood, with every kind of everything.

use std::collections::BTreeMap;
use std::time::Duration;

use grid_core::ids::{JobId, StageName};
use grid_core::pipeline::*;
use grid_core::reason::Reason;
use grid_core::submission::{Compression, PinnedFile, ProgramFile, Submission};
use grid_core::terms::{Budget, OnExceed, Priority, Terms};
use grid_core::units::{Allowance, ByteSize};

use crate::check::golden;

fn names(names: &[&str]) -> Vec<StageName> {
    names.iter().map(|name| StageName::new(*name)).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn text(text: &str) -> Template {
    Template { parts: vec![TemplatePart::Text(text.into())] }
}

/// Every value that may be left out is.
fn stage(name: &str, items: ItemSource) -> Stage {
    Stage {
        name: StageName::new(name),
        items,
        after: Vec::new(),
        run: Command::Shell(text("cat")),
        per: Per::Item,
        input_as: InputAs::Stdin,
        env: BTreeMap::new(),
        setup: None,
        pool: "default".into(),
        resources: Resources::default(),
        output: Output { format: Format::Text, name: None },
        cache: true,
        checkpoint: None,
        notify: None,
        retry: Retry { attempts: 3, backoff: backoff(60), rules: Vec::new() },
        timeout: Duration::from_secs(39_600),
        grace: Duration::from_secs(10),
        skip: Allowance::Items(0),
        on_failure: OnFailure::Continue,
        stragglers: Stragglers::Copy,
        max_failures: None,
    }
}

fn backoff(max_secs: u64) -> Backoff {
    Backoff { initial: Duration::from_millis(1_500), factor: 2.0, max: Duration::from_secs(max_secs), jitter: 1.0 }
}

/// Every value is set.
fn full() -> Stage {
    let parts = vec![
        TemplatePart::Text("--year=".into()),
        TemplatePart::Param("year".into()),
        TemplatePart::Key("file".into()),
        TemplatePart::Item,
    ];
    let template = Template { parts };
    let when = RetryWhen { exit: vec![75], signal: vec![9], reason: vec![Reason::Oom], stderr: Some("busy".into()) };
    let rule = |then| RetryRule { when: RetryWhen::default(), then, memory_factor: None };
    let rules = vec![
        RetryRule { when, then: RetryThen::Retry, memory_factor: Some(2.0) },
        rule(RetryThen::Fail),
        rule(RetryThen::Skip),
    ];
    Stage {
        after: names(&["sweep"]),
        run: Command::Argv(vec![text("./clean"), template.clone()]),
        per: Per::Worker,
        input_as: InputAs::File,
        env: BTreeMap::from([("LANG".into(), text("C"))]),
        setup: Some(Command::Shell(text("make"))),
        pool: "large".into(),
        resources: Resources { cpus: Some(0.5), memory: Some(ByteSize(1 << 30)), disk: Some(ByteSize(1 << 20)) },
        output: Output { format: Format::Csv, name: Some(template) },
        cache: false,
        notify: Some(Notify { queue: "done".into() }),
        retry: Retry { attempts: 4, backoff: backoff(9), rules },
        timeout: Duration::from_millis(600_500),
        skip: Allowance::Percent(0.1),
        on_failure: OnFailure::Drain,
        stragglers: Stragglers::Copy,
        max_failures: Some(Allowance::Items(10)),
        ..split("clean", SplitBy::Bytes { target: ByteSize(32 << 20) })
    }
}

fn split(name: &str, by: SplitBy) -> Stage {
    stage(name, ItemSource::Split(Split { input: "ledgers".into(), by }))
}

fn stages() -> Vec<Stage> {
    let matrix = Matrix {
        dims: vec![("system".into(), vec!["erp".into(), "crm".into()]), ("year".into(), vec!["2025".into()])],
        include: vec![pairs(&[("system", "hr"), ("year", "2024")])],
        exclude: vec![pairs(&[("system", "crm")])],
    };
    let fields = ListItem::Fields(vec![("region".into(), "north".into())]);
    let inline = List::Inline(vec![ListItem::Text("alpha".into()), fields]);
    let group = ItemSource::Group { stages: names(&["clean"]), by: vec!["file".into()] };
    let all = |fan_in| ItemSource::All { stages: names(&["each", "group"]), fan_in };
    let bundled = Stage { per: Per::Bundle, on_failure: OnFailure::Cancel, ..stage("list", ItemSource::List(inline)) };
    vec![
        stage("sweep", ItemSource::Range(Range { first: -5, last: 1_000, step: 5 })),
        stage("matrix", ItemSource::Matrix(matrix)),
        bundled,
        stage("list_file", ItemSource::List(List::File("items.txt".into()))),
        full(),
        split("lines", SplitBy::Lines { count: 100 }),
        split("records", SplitBy::Records { count: 100 }),
        split("files", SplitBy::Files { count: 2 }),
        split("even", SplitBy::Even { parts: 16 }),
        stage("each", ItemSource::Each(names(&["lines", "records"]))),
        Stage { input_as: InputAs::Files, ..stage("group", group) },
        stage("tree", all(Some(8))),
        stage("report", all(None)),
    ]
}

fn param(kind: ParamType, default: Option<&str>, description: Option<&str>) -> Param {
    Param { kind, default: default.map(Into::into), description: description.map(Into::into) }
}

fn input(format: Format, header: bool, default: &[&str]) -> Input {
    let default = default.iter().map(|path| (*path).to_owned()).collect();
    Input { format, header, default, max_record: ByteSize(16 << 20) }
}

fn pipeline() -> Pipeline {
    Pipeline {
        terms: Terms::default(),
        tenant: None,
        name: "year-end-report".into(),
        params: BTreeMap::from([
            ("full".into(), param(ParamType::Boolean, Some("false"), None)),
            ("rate".into(), param(ParamType::Number, Some("0.5"), None)),
            ("title".into(), param(ParamType::String, None, None)),
            ("year".into(), param(ParamType::Integer, Some("2025"), Some("the year that ends"))),
        ]),
        inputs: BTreeMap::from([
            ("events".into(), input(Format::Ndjson, false, &[])),
            ("images".into(), input(Format::Binary, false, &[])),
            ("ledgers".into(), input(Format::Csv, true, &["data/*.csv"])),
        ]),
        stages: stages(),
        outputs: names(&["report"]),
    }
}

fn file(name: &str, compression: Compression) -> PinnedFile {
    PinnedFile {
        uri: format!("file:///data/{name}"),
        name: name.into(),
        size: 123_456,
        version: "1760000000123456789".into(),
        digest: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262".into(),
        compression,
    }
}

#[test]
fn a_submission() {
    let files = vec![
        file("a.csv", Compression::None),
        file("b.csv.gz", Compression::Gzip),
        file("c.csv.zst", Compression::Zstd),
        file("d.csv.bz2", Compression::Bzip2),
    ];
    let submission = Submission {
        v: 1,
        job: JobId::new("0198c5a2-7b1e-7c3a-9d42-5f0a1b2c3d4e"),
        submitted: "2025-12-31T23:59:59.25Z".parse().expect("it is a time"),
        pipeline: pipeline(),
        params: pairs(&[("full", "false"), ("rate", "0.5"), ("title", "Gebühren"), ("year", "2025")]),
        inputs: BTreeMap::from([("ledgers".into(), files)]),
        lists: BTreeMap::from([("list_file".into(), file("items.txt", Compression::None))]),
        workdir: "/home/somebody/reports".into(),
        programs: pairs(&[("clean", "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85")]),
        program_files: vec![ProgramFile {
            path: "clean".into(),
            size: 12,
            digest: "blake3:6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85".into(),
            executable: true,
        }],
        tenant: "finance".into(),
    };
    let structs = [
        "",
        "/pipeline",
        "/pipeline/params/year",
        "/pipeline/inputs/ledgers",
        "/pipeline/stages/0",
        "/pipeline/stages/0/items/range",
        "/pipeline/stages/1/items/matrix",
        "/pipeline/stages/4/items/split",
        "/pipeline/stages/4/items/split/by/bytes",
        "/pipeline/stages/4/resources",
        "/pipeline/stages/4/output",
        "/pipeline/stages/4/retry",
        "/pipeline/stages/4/retry/backoff",
        "/pipeline/stages/4/retry/rules/0",
        "/pipeline/stages/4/retry/rules/0/when",
        "/pipeline/stages/10/items/group",
        "/pipeline/stages/11/items/all",
        "/inputs/ledgers/0",
        "/lists/list_file",
        "/program_files/0",
    ];
    golden!("submission.json").holds(&submission, &structs);
}

#[test]
fn a_stage_with_checkpoints() {
    let sweep = stage("sweep", ItemSource::Range(Range { first: 1, last: 9, step: 1 }));
    let stage = Stage { checkpoint: Some(Checkpoint { interval: Duration::from_secs(300) }), ..sweep };
    golden!("stage-checkpoint.json").holds(&stage, &["", "/checkpoint"]);
}

#[test]
fn a_pipeline_with_terms() {
    let mut pipeline = Pipeline::new("urgent", Vec::new());
    pipeline.terms = Terms {
        deadline: Some(Duration::from_secs(7_200)),
        budget: Some(Budget { usd: 12.5, on_exceed: OnExceed::Cancel }),
        priority: Priority::new(2),
    };
    pipeline.tenant = Some("finance".into());
    golden!("pipeline-terms.json").holds(&pipeline, &["", "/terms", "/terms/budget"]);
}
