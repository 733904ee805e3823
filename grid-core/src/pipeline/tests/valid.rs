use std::collections::BTreeMap;
use std::time::Duration;

use super::YEAR_END_REPORT;
use crate::ids::StageName;
use crate::limits::{DEFAULT_GRACE, MAX_TIMEOUT};
use crate::pipeline::*;
use crate::reason::Reason;
use crate::units::{Allowance, ByteSize};

fn parsed(text: &str) -> Pipeline {
    parse(text, "pipeline.yaml").unwrap_or_else(|faults| panic!("{faults}"))
}

/// The only stage `s` of a pipeline with an input `in`, a parameter `p` and a range stage `up`.
fn stage(lines: &str) -> Stage {
    let indented = lines.trim().lines().map(|line| format!("    {line}\n")).collect::<String>();
    let head =
        "name: n\nparams: {p: {default: 1}}\ninputs: {in: {format: csv}}\nstages:\n  up: {range: 1..2, run: x}\n";
    parsed(&format!("{head}  s:\n{indented}")).stage(&StageName::new("s")).unwrap().clone()
}

fn shell(parts: &[TemplatePart]) -> Command {
    Command::Shell(Template { parts: parts.to_vec() })
}

fn text(text: &str) -> TemplatePart {
    TemplatePart::Text(text.into())
}

fn names(names: &[&str]) -> Vec<StageName> {
    names.iter().map(|&name| StageName::new(name)).collect()
}

/// A stage with every default.
fn plain(name: &str, items: ItemSource, run: Command) -> Stage {
    let backoff = Backoff { initial: Duration::from_secs(1), factor: 2.0, max: Duration::from_secs(60), jitter: 1.0 };
    Stage {
        name: StageName::new(name),
        items,
        after: vec![],
        run,
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
        retry: Retry { attempts: 3, backoff, rules: vec![] },
        timeout: MAX_TIMEOUT,
        grace: DEFAULT_GRACE,
        skip: Allowance::Items(0),
        on_failure: OnFailure::Continue,
        stragglers: Stragglers::Copy,
        max_failures: None,
    }
}

#[test]
fn the_example_of_the_interface_is_understood() {
    let by = SplitBy::Bytes { target: ByteSize(32 << 20) };
    let split = ItemSource::Split(Split { input: "ledgers".into(), by });
    let run = shell(&[text("./clean --year "), TemplatePart::Param("year".into())]);
    let mut clean = plain("clean", split, run);
    clean.retry.attempts = 4;
    clean.timeout = Duration::from_secs(600);
    clean.skip = Allowance::Percent(0.1);
    let group = ItemSource::Group { stages: names(&["clean"]), by: vec!["department".into()] };
    let all = ItemSource::All { stages: names(&["per_department"]), fan_in: None };
    let expected = Pipeline {
        name: "year-end-report".into(),
        params: BTreeMap::from([(
            "year".into(),
            Param { kind: ParamType::Integer, default: Some("2025".into()), description: None },
        )]),
        inputs: BTreeMap::from([(
            "ledgers".into(),
            Input { format: Format::Csv, header: true, default: vec![], max_record: ByteSize(16 << 20) },
        )]),
        stages: vec![
            clean,
            plain("per_department", group, shell(&[text("./summarise")])),
            plain("report", all, shell(&[text(r#"./report > "$GRIDMILL_OUTPUT_DIR/report.html""#)])),
        ],
        outputs: names(&["report"]),
        terms: crate::terms::Terms::default(),
        tenant: None,
    };
    assert_eq!(parsed(YEAR_END_REPORT), expected);
}

#[test]
fn every_source_of_items_is_understood() {
    let split = |by| ItemSource::Split(Split { input: "in".into(), by });
    let range = |first, last, step| ItemSource::Range(Range { first, last, step });
    let inline = |items: Vec<ListItem>| ItemSource::List(List::Inline(items));
    let item = |text: &str| ListItem::Text(text.into());
    let matrix = Matrix {
        dims: vec![("os".into(), vec!["linux".into(), "mac".into()]), ("v".into(), vec!["1".into(), "2.0".into()])],
        include: vec![BTreeMap::from([("os".into(), "bsd".into()), ("v".into(), "3".into())])],
        exclude: vec![BTreeMap::from([("os".into(), "mac".into())])],
    };
    let table = [
        ("split: {input: in, by: bytes, target: 1KiB}", split(SplitBy::Bytes { target: ByteSize(1024) })),
        ("split: {input: in, by: lines, count: 10}", split(SplitBy::Lines { count: 10 })),
        ("split: {input: in, by: records, count: 7}", split(SplitBy::Records { count: 7 })),
        ("split: {input: in, by: files, count: 2}", split(SplitBy::Files { count: 2 })),
        ("split: {input: in, by: files}", split(SplitBy::Files { count: 1 })),
        ("split: {input: in, by: even, parts: 16}", split(SplitBy::Even { parts: 16 })),
        (
            "matrix: {os: [linux, mac], v: [1, 2.0], include: [{os: bsd, v: 3}], exclude: [{os: mac}]}",
            ItemSource::Matrix(matrix),
        ),
        ("range: 1..1000", range(1, 1000, 1)),
        ("range: -5 .. 5 step 2", range(-5, 5, 2)),
        ("range: {from: 0, to: 100, step: 10}", range(0, 100, 10)),
        ("list: [a, 1, true, 2.50]", inline(vec![item("a"), item("1"), item("true"), item("2.50")])),
        (
            "list: [{b: x, a: 1}, {a: 2, b: y}]",
            inline(vec![
                ListItem::Fields(vec![("b".into(), "x".into()), ("a".into(), "1".into())]),
                ListItem::Fields(vec![("a".into(), "2".into()), ("b".into(), "y".into())]),
            ]),
        ),
        ("list: items.txt", ItemSource::List(List::File("items.txt".into()))),
        ("each: up", ItemSource::Each(names(&["up"]))),
        ("each: [up]", ItemSource::Each(names(&["up"]))),
        ("group: up\nby: item", ItemSource::Group { stages: names(&["up"]), by: vec!["item".into()] }),
        ("all: up", ItemSource::All { stages: names(&["up"]), fan_in: None }),
        ("all: up\nfan_in: 8", ItemSource::All { stages: names(&["up"]), fan_in: Some(8) }),
    ];
    for (lines, expected) in table {
        assert_eq!(stage(&format!("{lines}\nrun: x")), plain("s", expected, shell(&[text("x")])), "{lines}");
    }
}

#[test]
fn every_other_key_of_a_stage_is_understood() {
    let written = stage(
        r#"
range: 1..2
after: [up]
run: [./work, "${{ params.p }}", "${{key.item}}", 5]
per: item
input_as: file
env: {A: "x ${{ item }}", B: 1}
setup: ./prepare ${{ params.p }}
pool: big.machines
resources: {cpus: 1.5, memory: 2GiB, disk: 10GB}
output: {format: ndjson, name: "out-${{ key.item }}.jsonl"}
cache: false
checkpoint: {interval: 2m}
notify: {queue: "arn:aws:sqs:eu-central-1:123456789012:done"}
retry:
  attempts: 5
  backoff: {initial: 500ms, factor: 3, max: 2m, jitter: 0.5}
  rules:
    - {when: {reason: oom}, then: retry, memory: x2}
    - {when: {exit: [3, 4], stderr: bad record}, then: skip}
    - {when: {signal: [SIGKILL, term, 6], reason: [timeout, exit]}, then: fail}
timeout: 1h30m
grace: 20s
skip: {limit: 10}
on_failure: drain
stragglers: wait
max_failures: 5%
"#,
    );
    let part = |parts: &[TemplatePart]| Template { parts: parts.to_vec() };
    let (param, item) = (|| TemplatePart::Param("p".into()), || TemplatePart::Key("item".into()));
    let argv = vec![part(&[text("./work")]), part(&[param()]), part(&[item()]), part(&[text("5")])];
    let mut expected = plain("s", ItemSource::Range(Range { first: 1, last: 2, step: 1 }), Command::Argv(argv));
    expected.after = names(&["up"]);
    expected.input_as = InputAs::File;
    expected.env =
        BTreeMap::from([("A".into(), part(&[text("x "), TemplatePart::Item])), ("B".into(), part(&[text("1")]))]);
    expected.setup = Some(shell(&[text("./prepare "), param()]));
    expected.pool = "big.machines".into();
    expected.resources =
        Resources { cpus: Some(1.5), memory: Some(ByteSize(2 << 30)), disk: Some(ByteSize(10_000_000_000)) };
    expected.output = Output { format: Format::Ndjson, name: Some(part(&[text("out-"), item(), text(".jsonl")])) };
    expected.cache = false;
    expected.checkpoint = Some(Checkpoint { interval: Duration::from_secs(120) });
    expected.notify = Some(Notify { queue: "arn:aws:sqs:eu-central-1:123456789012:done".into() });
    let rule = |when, then| RetryRule { when, then, memory_factor: None };
    let oom = RetryWhen { reason: vec![Reason::Oom], ..RetryWhen::default() };
    let bad = RetryWhen { exit: vec![3, 4], stderr: Some("bad record".into()), ..RetryWhen::default() };
    let killed =
        RetryWhen { signal: vec![9, 15, 6], reason: vec![Reason::Timeout, Reason::Exit], ..RetryWhen::default() };
    expected.retry = Retry {
        attempts: 5,
        backoff: Backoff {
            initial: Duration::from_millis(500),
            factor: 3.0,
            max: Duration::from_secs(120),
            jitter: 0.5,
        },
        rules: vec![
            RetryRule { memory_factor: Some(2.0), ..rule(oom, RetryThen::Retry) },
            rule(bad, RetryThen::Skip),
            rule(killed, RetryThen::Fail),
        ],
    };
    expected.timeout = Duration::from_secs(5_400);
    expected.grace = Duration::from_secs(20);
    expected.skip = Allowance::Items(10);
    expected.on_failure = OnFailure::Drain;
    expected.stragglers = Stragglers::Wait;
    expected.max_failures = Some(Allowance::Percent(5.0));
    assert_eq!(written, expected);
}

#[test]
fn inputs_and_parameters_have_their_defaults() {
    let pipeline = parsed(
        "name: n\nparams:\n  a:\n  b: {type: boolean, default: true, description: why}\ninputs:\n  x:\n  \
         y: {format: ndjson, default: [a/*.json, b], max_record: 1MiB}\nstages:\n  s: {range: 1..2, run: x}\n",
    );
    let none = Param { kind: ParamType::String, default: None, description: None };
    let b = Param { kind: ParamType::Boolean, default: Some("true".into()), description: Some("why".into()) };
    assert_eq!(pipeline.params, BTreeMap::from([("a".into(), none), ("b".into(), b)]));
    let x = Input { format: Format::Text, header: false, default: vec![], max_record: ByteSize(16 << 20) };
    let y = Input {
        format: Format::Ndjson,
        header: false,
        default: vec!["a/*.json".into(), "b".into()],
        max_record: ByteSize(1 << 20),
    };
    assert_eq!(pipeline.inputs, BTreeMap::from([("x".into(), x), ("y".into(), y)]));
}

#[test]
fn stages_are_sorted_by_what_they_need_and_else_stay_as_written() {
    let order = |text: &str| -> (Vec<String>, Vec<String>) {
        let pipeline = parsed(&format!("name: n\n{text}"));
        let names = |stages: &[StageName]| stages.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
        let sorted: Vec<StageName> = pipeline.stages.iter().map(|stage| stage.name.clone()).collect();
        (names(&sorted), names(&pipeline.outputs))
    };
    let stages = "stages:\n  d: {all: [c, b], run: x}\n  z: {range: 1..2, run: x}\n  b: {each: a, run: x}\n  \
                  c: {each: a, run: x}\n  a: {range: 1..2, after: z, run: x}\n";
    let sorted = ["z", "a", "b", "c", "d"].map(str::to_owned).to_vec();
    assert_eq!(order(stages), (sorted.clone(), vec!["z".into(), "d".into()]));
    assert_eq!(order(&format!("outputs: [b, d]\n{stages}")), (sorted, vec!["b".into(), "d".into()]));
}

#[test]
fn json_says_the_same_as_yaml() {
    let json = r#"{
        "name": "year-end-report",
        "params": {"year": {"type": "integer", "default": 2025}},
        "inputs": {"ledgers": {"format": "csv", "header": true}},
        "stages": {
            "clean": {
                "split": {"input": "ledgers", "by": "bytes", "target": "32MiB"},
                "run": "./clean --year ${{ params.year }}",
                "retry": {"attempts": 4},
                "timeout": "10m",
                "skip": {"limit": "0.1%"}
            },
            "per_department": {"group": "clean", "by": ["department"], "run": "./summarise"},
            "report": {"all": "per_department", "run": "./report > \"$GRIDMILL_OUTPUT_DIR/report.html\""}
        }
    }"#;
    assert_eq!(parsed(json), parsed(YEAR_END_REPORT));
    assert_eq!(parsed(json).digest(), parsed(YEAR_END_REPORT).digest());
    assert_eq!(parsed(&format!("\u{feff}{}", json.replace('\n', "\r\n"))), parsed(json));
    assert_eq!(parsed(&YEAR_END_REPORT.replace('\n', "\r\n")), parsed(json));
}

#[test]
fn the_digest_tells_pipelines_apart_and_comments_do_not_count() {
    let digest = |text: &str| parsed(text).digest();
    assert_eq!(digest(YEAR_END_REPORT), digest(&format!("# a comment\n{YEAR_END_REPORT}")));
    assert_ne!(digest(YEAR_END_REPORT), digest(&YEAR_END_REPORT.replace("10m", "11m")));
}

#[test]
fn a_pipeline_survives_its_own_json() {
    let pipeline = parsed(YEAR_END_REPORT);
    let json = serde_json::to_string(&pipeline).unwrap();
    assert_eq!(serde_json::from_str::<Pipeline>(&json).unwrap(), pipeline);
}

#[test]
fn anchors_stand_for_whole_values() {
    let text =
        "name: n\nstages:\n  a: {range: 1..2, run: x, retry: &r {attempts: 7}}\n  b: {each: a, run: x, retry: *r}\n";
    let pipeline = parsed(text);
    assert_eq!(pipeline.stages.iter().map(|stage| stage.retry.attempts).collect::<Vec<_>>(), [7, 7]);
}

#[test]
fn parameters_are_resolved_or_all_their_faults_told() {
    let pipeline = parsed(
        "name: n\nparams: {year: {type: integer}, rate: {type: number, default: 0.5}, full: {type: boolean}, who: {}}\n\
         stages: {s: {range: 1..2, run: x}}\n",
    );
    let given = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    assert_eq!(
        pipeline.resolve_params(&given(&[("year", "2025"), ("full", "true"), ("who", "")])),
        Ok(given(&[("full", "true"), ("rate", "0.5"), ("who", ""), ("year", "2025")]))
    );
    assert_eq!(
        pipeline.resolve_params(&given(&[("yaer", "2025"), ("rate", "fast"), ("full", "yes")])),
        Err(vec![
            "the pipeline has no parameter `yaer`: did you mean `year`?".to_owned(),
            "the parameter `full` is `yes`, which is not `true` or `false`".to_owned(),
            "the parameter `rate` is `fast`, which is not a number".to_owned(),
            "the parameter `who` has no default and must be given".to_owned(),
            "the parameter `year` has no default and must be given".to_owned(),
        ])
    );
}

#[test]
fn the_examples_are_right() {
    for text in [
        include_str!("../../../../examples/claims/pipeline.yaml"),
        include_str!("../../../../examples/sweep/pipeline.yaml"),
        include_str!("../../../../examples/wordcount/pipeline.yaml"),
        include_str!("../../../../examples/year-end-report/pipeline.yaml"),
    ] {
        parsed(text);
    }
}
