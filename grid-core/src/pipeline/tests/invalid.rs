use crate::pipeline::parse;

/// Lines of a stage, and what is told of them.
type Table<'t> = &'t [(&'t str, &'t [&'t str])];

/// The stage `s` of a pipeline; its lines begin in line 8, column 5.
fn check_stages(table: Table<'_>) {
    for (lines, expected) in table {
        let indented = lines.lines().map(|line| format!("    {line}\n")).collect::<String>();
        assert_eq!(faults(&format!("{HEAD}{indented}")), *expected, "{lines}");
    }
}

fn check_files(table: Table<'_>) {
    for (text, expected) in table {
        assert_eq!(faults(text), *expected, "{text}");
    }
}

const HEAD: &str = "name: n
params: {year: {default: 1}}
inputs: {csv: {format: csv}, bin: {format: binary}}
stages:
  up: {matrix: {os: [linux, mac], version: [1, 2]}, run: x}
  bundled: {range: 1..2, run: x, per: bundle}
  s:
";

/// Every fault as `line:column message [help]`.
fn faults(text: &str) -> Vec<String> {
    let told = parse(text, "p.yaml").expect_err("there is a fault");
    let help = |help: &Option<String>| help.as_ref().map(|help| format!(" [{help}]")).unwrap_or_default();
    told.list()
        .iter()
        .map(|fault| format!("{}:{} {}{}", fault.line, fault.column, fault.message, help(&fault.help)))
        .collect()
}

#[test]
fn all_faults_of_a_file_are_in_one_report_with_the_lines_they_are_in() {
    let text = "name: year end
inputs:
  ledgers: {format: cvs}   # ümlaut
stages:
  clean:
    split: {input: ledger, by: bytes, target: 32MiB}
    run: |
      ./clean
      ./more ${{ key.fiel }} ${{ params.year }}
    tiemout: 10m
  report: {all: claen, run: [./report]}
";
    let faults = parse(text, "pipelines/report.yaml").expect_err("there are faults");
    let expected = r#"error: `year end` cannot be the name of a pipeline
 --> pipelines/report.yaml:1:7
  |
1 | name: year end
  |       ^^^^^^^^
  |
  = help: allowed are letters, digits, `.`, `_` and `-`, at most 128

error: `cvs` is not a format
 --> pipelines/report.yaml:3:21
  |
3 |   ledgers: {format: cvs}   # ümlaut
  |                     ^^^
  |
  = help: did you mean `csv`?

error: there is no input `ledger`
 --> pipelines/report.yaml:6:20
  |
6 |     split: {input: ledger, by: bytes, target: 32MiB}
  |                    ^^^^^^
  |
  = help: did you mean `ledgers`?

error: there is no parameter `year`
 --> pipelines/report.yaml:9:30
  |
9 |       ./more ${{ key.fiel }} ${{ params.year }}
  |                              ^^^^^^^^^^^^^^^^^^

error: unknown key `tiemout` in a stage
  --> pipelines/report.yaml:10:5
   |
10 |     tiemout: 10m
   |     ^^^^^^^
   |
   = help: did you mean `timeout`?

error: there is no stage `claen`
  --> pipelines/report.yaml:11:17
   |
11 |   report: {all: claen, run: [./report]}
   |                 ^^^^^
   |
   = help: did you mean `clean`?

6 faults in pipelines/report.yaml"#;
    assert_eq!(faults.render(false), expected);
    assert_eq!(faults.to_string(), expected);
    assert!(faults.render(true).contains("\u{1b}["));
}

#[test]
fn programs_get_the_faults_as_values() {
    let faults = parse("name: n\nstages: {a: {list: [x], ruin: y}}\n", "p.yaml").expect_err("there are faults");
    assert_eq!(
        serde_json::to_value(faults.list()).unwrap(),
        serde_json::json!([
            {"line": 2, "column": 10, "message": "stage `a` does nothing: `run` is missing"},
            {
                "line": 2, "column": 25, "message": "unknown key `ruin` in a stage",
                "help": "did you mean `run`?",
            },
        ])
    );
}

#[test]
fn a_long_line_is_cut_around_the_fault() {
    let steps = (0..50).map(|n| format!("\"s{n}\": {{\"range\": \"1..2\", \"run\": \"ü\"}}, ")).collect::<String>();
    let text =
        format!("{{\"name\": \"n\", \"stages\": {{{steps}\"z\": {{\"list\": [1], \"ran\": \"x\", \"run\": \"y\"}}}}}}");
    let report = parse(&text, "p.json").expect_err("there is a fault").render(false);
    let column = text[..text.find("\"ran\"").unwrap()].chars().count() + 1;
    assert!(report.starts_with(&format!("error: unknown key `ran` in a stage\n --> p.json:1:{column}\n")), "{report}");
    assert!(
        report.contains("^^^^^") && report.ends_with("help: did you mean `run`?") && report.len() < 800,
        "{report}"
    );
}

#[test]
fn a_report_of_very_many_faults_is_cut() {
    let keys: String = (0..300).map(|n| format!("unknown_{n}: 1\n")).collect();
    let faults =
        parse(&format!("name: n\nstages: {{s: {{range: 1..2, run: x}}}}\n{keys}"), "p.yaml").expect_err("faults");
    assert_eq!(faults.list().len(), 200);
    assert!(faults.render(false).ends_with("\n\n300 faults in p.yaml, the first 200 are shown"));
}

#[test]
fn a_stage_has_exactly_one_source_and_one_action() {
    check_stages(&[
        (
            "run: x",
            &["7:3 the stage has no items [write one of `split`, `matrix`, `range`, `list`, `each`, `group`, `all`]"],
        ),
        ("range: 1..2\nlist: [a]\nrun: x", &["9:5 items come from one place: there are `range` and `list`"]),
        ("range: 1..2", &["7:3 stage `s` does nothing: `run` is missing"]),
        ("range: 1..2\nstep: {sort: {}}", &["9:5 `step` is not built yet"]),
    ]);
}

#[test]
fn a_checkpoint_is_that_of_one_item_and_not_taken_all_the_time() {
    check_stages(&[
        (
            "range: 1..2\nrun: x\ncheckpoint: 1m",
            &["10:17 `checkpoint` must be a map of keys [its keys are `interval`]"],
        ),
        ("range: 1..2\nrun: x\ncheckpoint: {}", &["10:5 `interval` is missing in `checkpoint`"]),
        (
            "range: 1..2\nrun: x\ncheckpoint: {interval: 10ms}",
            &[
                "10:28 a checkpoint more often than every 1s is refused [every checkpoint is written to the store: say how much work may be lost]",
            ],
        ),
        (
            "range: 1..2\nrun: x\nper: bundle\ncheckpoint: {interval: 1m}",
            &[
                "11:5 `checkpoint` goes with `per: item` only [a checkpoint is that of one item: leave `per` out, or `checkpoint`]",
            ],
        ),
        (
            "range: 1..2\nrun: x\nper: worker\ncheckpoint: {interval: 1m}",
            &[
                "11:5 `checkpoint` goes with `per: item` only [a checkpoint is that of one item: leave `per` out, or `checkpoint`]",
            ],
        ),
    ]);
}

#[test]
fn what_is_not_built_yet_is_refused_by_name() {
    check_stages(&[
        ("tasks: f.ndjson\nrun: x", &["8:5 `tasks` is not built yet"]),
        (
            "range: 1..2\nrun: x\nnotify: {queue: a b}\noutput: {shuffle: {by: a, partitions: 3}}",
            &[
                "10:21 `a b` cannot be a queue [allowed are its name, its URL or its ARN: visible ASCII, at most 512 characters]",
                "11:14 `shuffle` is not built yet",
            ],
        ),
        (
            "split: {input: csv, by: key, column: a, partitions: 3}\nrun: x",
            &["8:29 `key` is not built yet", "8:34 `column` is not built yet", "8:45 `partitions` is not built yet"],
        ),
        ("split: {input: csv, by: row_groups}\nrun: x", &["8:29 `row_groups` is not built yet"]),
    ]);
}

#[test]
fn a_split_fits_its_input() {
    check_stages(&[
        (
            "split: {input: cvs, by: byte, target: 1MiB}\nrun: x",
            &[
                "8:20 there is no input `cvs` [did you mean `csv`?]",
                "8:29 `byte` is not a rule to split by [did you mean `bytes`?]",
            ],
        ),
        (
            "split: {input: cvs, by: bytes, target: 1MiB}\nrun: x",
            &["8:20 there is no input `cvs` [did you mean `csv`?]"],
        ),
        ("split: {input: csv, by: bytes}\nrun: x", &["8:5 `by: bytes` needs `target` [for instance `target: 32MiB`]"]),
        ("split: {input: csv, by: lines, count: 0}\nrun: x", &["8:43 `0` is not a whole number of at least 1"]),
        (
            "split: {input: csv, by: lines, target: 1MiB, count: 5}\nrun: x",
            &["8:36 `target` does not go with `by: lines`"],
        ),
        (
            "split: {input: bin, by: records, count: 5}\nrun: x",
            &[
                "8:20 the input `bin` is binary: it has no lines and no records [split it `by: bytes`, `even` or `files`]",
            ],
        ),
        (
            "split: {by: bytes, target: 0}\nrun: x",
            &["8:5 `input` is missing in `split`", "8:32 zero is not allowed here"],
        ),
    ]);
}

#[test]
fn a_range_or_list_has_items_that_can_be_told_apart() {
    check_stages(&[
        (
            "range: 5..1\nrun: x",
            &["8:12 the range ends before it begins [a range counts upwards, and has at least one number]"],
        ),
        (
            "range: 1-5\nrun: x",
            &["8:12 `1-5` is not a range [write `1..1000` or `0..100 step 5`; both ends are included]"],
        ),
        ("range: 1..5000000000\nrun: x", &["8:12 the range has 5000000000 items, at most 4294967295 are allowed"]),
        (
            "range: {from: 1, too: 2}\nrun: x",
            &["8:5 `to` is missing in `range`", "8:22 unknown key `too` in `range` [did you mean `to`?]"],
        ),
        ("list: []\nrun: x", &["8:11 the list has no items"]),
        ("list: [a, b, a]\nrun: x", &["8:18 the item `a` is listed twice"]),
        (
            "list: [a, {b: c}]\nrun: x",
            &["8:15 all items of a list have the same fields, those of the first one are `item`"],
        ),
        ("list: [{a: [1]}]\nrun: x", &["8:16 a value was expected here"]),
        ("list: ''\nrun: x", &["8:11 the path is empty"]),
    ]);
}

#[test]
fn a_matrix_has_combinations_that_can_be_told_apart() {
    check_stages(&[
        ("matrix: {a: []}\nrun: x", &["8:17 `a` has no values"]),
        ("matrix: {}\nrun: x", &["8:13 the matrix has no dimensions"]),
        ("matrix: {a: 1}\nrun: x", &["8:17 `a` must be a list of values"]),
        ("matrix: {a: [1, '1']}\nrun: x", &["8:21 `1` is listed twice"]),
        (
            "matrix: {a-b: [1]}\nrun: x",
            &[
                "8:14 `a-b` cannot be the name of a dimension [a name has letters, digits and `_`, and begins with a letter or `_`]",
            ],
        ),
        (
            "matrix: {os: [a], exclude: [{so: a}]}\nrun: x",
            &["8:34 the matrix has no dimension `so` [did you mean `os`?]"],
        ),
        ("matrix: {os: [a], exclude: [{os: a}]}\nrun: x", &["8:13 `exclude` leaves no combination"]),
        (
            "matrix: {os: [a, b], include: [{os: a, x: 1}, {os: c}, {os: c}]}\nrun: x",
            &["8:13 the combination `c` occurs twice"],
        ),
    ]);
}

#[test]
fn stages_take_from_stages_that_can_give() {
    check_stages(&[
        ("each: upp\nrun: x", &["8:11 there is no stage `upp` [did you mean `up`?]"]),
        ("each: [up, up]\nrun: x", &["8:16 `up` is named twice"]),
        ("each: s\nrun: x", &["8:11 `s` waits for itself"]),
        (
            "each: bundled\nrun: x",
            &[
                "8:11 the outputs of `bundled` have no borders between items: it runs `per: bundle` [only `all` can follow it; or let it run `per: item` or `per: worker`]",
            ],
        ),
        (
            "group: bundled\nby: item\nrun: x",
            &[
                "8:12 the outputs of `bundled` have no borders between items: it runs `per: bundle` [only `all` can follow it; or let it run `per: item` or `per: worker`]",
            ],
        ),
        ("group: up\nrun: x", &["8:5 `group` needs `by` [write the dimensions: `by: [department]`]"]),
        ("group: up\nby: [so]\nrun: x", &["9:10 the items of `up` have no dimension `so` [did you mean `os`?]"]),
        (
            "each: up\nby: os\nfan_in: 4\nrun: x",
            &["9:5 `by` goes with `group` only", "10:5 `fan_in` goes with `all` only"],
        ),
        ("all: up\nfan_in: 1\nrun: x", &["9:13 `1` is not a whole number from 2 to 4294967295"]),
        ("all: []\nrun: x", &["8:10 the list is empty: the name of a stage was expected"]),
        ("all: up\nafter: [nowhere]\nrun: x", &["9:13 there is no stage `nowhere` [known are `bundled`, `s`, `up`]"]),
    ]);
}

#[test]
fn commands_and_templates_name_what_exists() {
    check_stages(&[
        ("each: up\nrun: ''", &["9:10 the command is empty"]),
        ("each: up\nrun: []", &["9:10 the command is empty"]),
        ("each: up\nrun:", &["9:8 a value is missing: a command was expected"]),
        ("each: up\nrun: {a: b}", &["9:10 a command was expected here"]),
        (
            "each: up\nrun: x ${{ params.yaer }} ${{ key.so }} ${{ matrix.os }} ${{ item",
            &[
                "9:12 there is no parameter `yaer` [did you mean `year`?]",
                "9:31 the items of this stage have no dimension `so` [did you mean `os`?]",
                "9:45 `${{ matrix.os }}` is not understood [did you mean `${{ key.os }}`?]",
                "9:62 `${{` is not closed by `}}` [written `$${{` it stands for itself]",
            ],
        ),
        ("all: up\nrun: x ${{ key.os }}", &["9:12 the items of this stage have no dimension `os`"]),
        (
            "each: up\nper: bundle\nrun: x ${{ item }}",
            &["10:12 there is no single item here: a process serves several items with `per: bundle`"],
        ),
        (
            "each: up\nper: worker\nrun: x\nenv: {A: '${{ key.os }}'}\nsetup: y ${{ item }}",
            &[
                "11:15 there is no single item here: a process serves many items with `per: worker`, and is told each by NDJSON",
                "12:14 there is no single item here: `setup` runs once a worker",
            ],
        ),
        (
            "each: up\nper: worker\ninput_as: files\nrun: x",
            &[
                "10:15 `input_as: files` does not go with `per: worker` [a co-process is told its inputs by NDJSON: leave `input_as` out, or use `per: item`]",
            ],
        ),
    ]);
}

#[test]
fn the_surroundings_of_a_command_are_checked() {
    check_stages(&[
        (
            "each: up\nper: iten\ninput_as: pipe\nrun: x",
            &[
                "9:10 `iten` is not a way to run [did you mean `item`?]",
                "10:15 `pipe` is not a way for input to arrive [known are `file`, `files`, `stdin`]",
            ],
        ),
        (
            "each: up\nrun: |\n  cat <<EOF\n  ${{ key.os }}\n  EOF",
            &[
                "11:7 a value cannot be quoted safely in or after a here-document [use the environment variable `$GRIDMILL_KEY_OS` there, in quotes where that is a word]",
            ],
        ),
        (
            "each: up\nrun: |\n  a # ${{ key.os }}\n  b `${{ key.os }}`",
            &[
                "10:11 a value cannot be quoted safely in a comment [nobody reads it there: take it out, or write `$${{`]",
                "11:10 a value cannot be quoted safely inside backticks [use the environment variable `\"$GRIDMILL_KEY_OS\"` there]",
            ],
        ),
        (
            "each: up\nrun: x\nenv: {1A: b, GRIDMILL_JOB: c, D: [e]}\npool: /p\nresources: {cpus: 0, memory: lots, disk: 0}",
            &[
                "10:11 `1A` cannot be the name of a variable [a name has letters, digits and `_`, and begins with a letter or `_`]",
                "10:18 `GRIDMILL_JOB`: gridmill sets `GRIDMILL_*` itself",
                "10:38 a value was expected here",
                "11:11 `/p` cannot be the name of a pool [allowed are letters, digits, `.`, `_` and `-`, at most 128]",
                "12:23 an item needs more than no processor at all",
                "12:34 `lots` is not a size: write 512, 64KiB, 32MiB or 10GB",
                "12:46 zero is not allowed here",
            ],
        ),
    ]);
}

#[test]
fn outputs_have_names_that_differ() {
    check_stages(&[
        (
            "each: up\nrun: x\noutput: {format: parquet, name: a.html}",
            &[
                "10:22 `parquet` is not a format [known are `binary`, `csv`, `ndjson`, `text`]",
                "10:37 all items of the stage would have an output of this name [put `${{ item }}` or a `${{ key.DIMENSION }}` in it]",
            ],
        ),
        (
            "each: up\nrun: x\noutput: {name: '../${{ item }}'}",
            &["10:20 this is not the name of a file: no `/`, not empty, not beginning with `.`"],
        ),
        (
            "each: up\nrun: x\nper: bundle\noutput: {name: a}",
            &["11:20 all items of the stage would have an output of this name [leave `name` out]"],
        ),
        ("each: up\nrun: x\ncache: yes", &["10:12 `yes` is neither `true` nor `false`"]),
    ]);
}

#[test]
fn retries_and_limits_are_in_range() {
    check_stages(&[
        (
            "each: up\nrun: x\nretry: {attempts: 0, backoff: {initial: soon, factor: 0.5, max: 1s, jitter: 2}}",
            &[
                "10:23 `0` is not a whole number from 1 to 1000",
                "10:45 `soon` is not a duration: write 500ms, 30s, 10m, 2h or 1h30m",
                "10:59 `0.5` is not a number from 1 to 1000",
                "10:81 `2` is not a number from 0 to 1",
            ],
        ),
        ("each: up\nrun: x\nretry: {attempts: '4'}", &["10:23 `4` is not a whole number from 1 to 1000"]),
        ("each: up\nrun: x\nretry: {backoff: {initial: 2m, max: 1m}}", &["10:41 `max` is shorter than `initial`"]),
        (
            "each: up\nrun: x\nretry: {rules: [{when: {exit: 1}, then: retry}, {when: {exit: 0}, then: retri}, {when: {signal: SIGKIL, reason: oomm}}]}",
            &[
                "10:67 `0` is not a whole number from 1 to 255",
                "10:77 `retri` is not something to do [did you mean `retry`?]",
                "10:85 `then` is missing in a retry rule",
                "10:101 `SIGKIL` is not a signal [did you mean `SIGKILL`?]",
                "10:117 `oomm` is not a reason [did you mean `oom`?]",
            ],
        ),
        (
            "each: up\nrun: x\nretry: {rules: [{when: {reason: oom}, then: fail, memory: double}]}",
            &[
                "10:55 `memory` goes with `then: retry` only",
                "10:55 `memory` has no limit to multiply [say what an item gets at first: `resources: {memory: 1GiB}`]",
                "10:63 `double` is not a factor: write x2 or x1.5",
            ],
        ),
        ("each: up\nrun: x\nretry: {rules: {when: a}}", &["10:20 `rules` must be a list of `{when, then}`"]),
        (
            "each: up\nrun: x\ntimeout: 12h",
            &[
                "10:14 a timeout of more than 11h is refused: the lease of an item cannot be kept for longer [cut the work in smaller items]",
            ],
        ),
        ("each: up\nrun: x\ntimeout: 0s", &["10:14 zero is not allowed here"]),
        (
            "each: up\nrun: x\nskip: 5\non_failure: stop\nmax_failures: 200%",
            &[
                "10:11 `skip` must be a map of keys [its keys are `limit`]",
                "11:17 `stop` is not something to do on failure [known are `cancel`, `continue`, `drain`]",
                "12:19 `200%` is neither a number of items nor a share: write 10 or 0.1%",
            ],
        ),
    ]);
}

#[test]
fn slips_of_the_pen_are_found() {
    check_stages(&[
        (
            "each: up\nrun: x\ntiemout: 5m\ncolour: red",
            &[
                "10:5 unknown key `tiemout` in a stage [did you mean `timeout`?]",
                "11:5 unknown key `colour` in a stage [known are `after`, `all`, `by`, `cache`, `checkpoint`, `each`, `env`, `fan_in`, `grace`, `group`, `input_as`, `list`, `matrix`, `max_failures`, `notify`, `on_failure`, `output`, `per`, `pool`, `range`, `resources`, `retry`, `run`, `setup`, `skip`, `split`, `step`, `stragglers`, `tasks`, `timeout`]",
            ],
        ),
        (
            "each: up\nrun: x\nresources: 5",
            &["10:16 `resources` must be a map of keys [its keys are `cpus`, `memory`, `disk`]"],
        ),
        ("each: up\neach: up\nrun: x", &["9:5 `each` is written twice"]),
        (
            "each: up\nrun: x\n<<: {a: b}",
            &["10:5 merge keys are not understood [repeat the keys, or use an alias for the whole value]"],
        ),
        ("each: up\nrun: !cmd x", &["9:15 the tag `!cmd` is not understood"]),
        (
            "[a]",
            &[
                "8:5 a stage must be a map of keys [its keys are `split`, `matrix`, `range`, `list`, `each`, `group`, `by`, `all`, `fan_in`, `tasks`, `after`, `run`, `step`, `per`, `input_as`, `env`, `setup`, `pool`, `resources`, `checkpoint`, `output`, `notify`, `cache`, `retry`, `timeout`, `grace`, `skip`, `on_failure`, `stragglers`, `max_failures`]",
            ],
        ),
        (
            "",
            &[
                "7:3 the stage has no items [write one of `split`, `matrix`, `range`, `list`, `each`, `group`, `all`]",
                "7:3 stage `s` does nothing: `run` is missing",
            ],
        ),
    ]);
}

#[test]
fn whole_files_are_checked() {
    check_files(&[
        (
            "name: n\nparams: {year: {}, Year: {}}\nstages: {cancelled: {matrix: {a: [1], A: [2]}, run: x}}\n",
            &[
                "2:20 `Year` and `year` would be the same environment variable",
                "3:10 a stage cannot be called `cancelled`: gridmill uses that name",
                "3:39 `A` and `a` would be the same environment variable",
            ],
        ),
        ("", &["1:1 the file is empty: a pipeline has at least `name` and `stages`"]),
        ("# c\n", &["1:1 the file is empty: a pipeline has at least `name` and `stages`"]),
        ("a: [", &["1:4 this is not YAML: unclosed bracket '['"]),
        ("name: n\nstages: {}\n", &["2:9 `stages` is empty: there is nothing to run"]),
        (
            "name: -x\nstages: []\n",
            &[
                "1:7 `-x` cannot be the name of a pipeline [allowed are letters, digits, `.`, `_` and `-`, at most 128]",
                "2:9 `stages` must be a map of stages by name",
            ],
        ),
        (
            "[]",
            &[
                "1:1 the pipeline must be a map of keys [its keys are `name`, `params`, `inputs`, `stages`, `outputs`, `deadline`, `budget`, `priority`, `tenant`]",
            ],
        ),
        (
            "x",
            &[
                "1:1 the pipeline must be a map of keys [its keys are `name`, `params`, `inputs`, `stages`, `outputs`, `deadline`, `budget`, `priority`, `tenant`]",
            ],
        ),
        (
            "name: n\nstages:\n\ta: b",
            &["3:2 this is not YAML: tabs disallowed within this context (block indentation)"],
        ),
        (
            "name: n\nname: m\nstages: {s: {range: 1..2, run: x}}\n---\nx: y",
            &["2:1 `name` is written twice", "4:1 a pipeline file holds one document: this is a second one"],
        ),
        (
            "name: n\nstages:\n  a: {each: c, run: x}\n  b: {each: a, run: x}\n  c: {each: b, run: x}\n  d: {each: c, run: '${{ params.x }}'}\n  e: {range: 1..2, after: e, run: x}\n",
            &[
                "3:13 stages wait for each other: `a` needs `c` needs `b` needs `a`",
                "6:22 there is no parameter `x`",
                "7:27 `e` waits for itself",
            ],
        ),
        (
            "name: n\nparams: {a-b: {}, c: {type: int, default: x}, d: {type: integer, default: 1.5}}\ninputs: {x: {format: parquet}, y: {format: ndjson, header: true}, z: {format: cvs, default: [], max_record: 0}, 'a b': {}}\noutputs: [t]\nstages:\n  1s: {range: 1..2, run: x}\n",
            &[
                "2:10 `a-b` cannot be the name of a parameter [a name has letters, digits and `_`, and begins with a letter or `_`]",
                "2:29 `int` is not a type [known are `boolean`, `integer`, `number`, `string`]",
                "2:75 the parameter `d` is `1.5`, which is not a whole number",
                "3:22 `parquet` is not built yet",
                "3:60 only `csv` and `text` have header lines",
                "3:79 `cvs` is not a format [did you mean `csv`?]",
                "3:93 the list is empty: a path was expected",
                "3:109 zero is not allowed here",
                "3:113 `a b` cannot be the name of an input [a name has letters, digits, `_` and `-`, begins with a letter or `_` and is at most 64 long]",
                "4:11 there is no stage `t` [known is `1s`]",
                "6:3 `1s` cannot be the name of a stage [a name has letters, digits, `_` and `-`, begins with a letter or `_` and is at most 64 long]",
            ],
        ),
        (
            "a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n",
            &[
                "6:11 the file has more than 524288 values [an alias counts as often as it is used; long lists belong in a file: `list: FILE`]",
            ],
        ),
        ("a: &a [*a]", &["1:8 this alias stands inside the value that it names"]),
        ("a: *b", &["1:4 this is not YAML: while parsing node, found unknown anchor"]),
        ("? [a]\n: b\nname: n", &["1:1 `stages` is missing in the pipeline", "1:3 a key must be a word"]),
    ]);
}
