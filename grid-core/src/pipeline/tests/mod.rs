//! The parser as a whole: files that are right, files that are wrong, and files that are noise.

mod invalid;
mod random;
mod schema;
mod terms;
mod valid;

/// The example of the interface.
const YEAR_END_REPORT: &str = r#"name: year-end-report
params:
  year: {type: integer, default: 2025}
inputs:
  ledgers: {format: csv, header: true}        # text | csv | ndjson | parquet | binary; .gz .zst .bz2 are seen by content
stages:
  clean:                                      # one item per 32 MiB slice, cut on record borders
    split: {input: ledgers, by: bytes, target: 32MiB}
    run: ./clean --year ${{ params.year }}    # stdin = the item's bytes, stdout = its output
    retry: {attempts: 4}
    timeout: 10m
    skip: {limit: 0.1%}
  per_department:
    group: clean
    by: [department]
    run: ./summarise
  report:
    all: per_department
    run: ./report > "$GRIDMILL_OUTPUT_DIR/report.html"
"#;
