//! Every input that was ever a finding, or that begins a search for one, against the oracles of the targets.

use std::time::Duration;

use gridmill_tests::fuzz::{Mutator, TARGETS, inputs};

#[test]
fn nothing_is_wrong_with_any_input_of_the_corpora() -> anyhow::Result<()> {
    for target in &TARGETS {
        let inputs = inputs(target.name)?;
        assert!(inputs.len() > 2, "{} has nothing to begin with", target.name);
        for (name, input) in inputs {
            let ran = std::panic::catch_unwind(|| (target.run)(&input));
            assert!(ran.is_ok(), "{}/{name}; what is wrong with it is above", target.name);
        }
    }
    Ok(())
}

#[test]
fn a_mutator_finds_what_is_wrong() -> anyhow::Result<()> {
    static BROKEN: gridmill_tests::fuzz::Target = gridmill_tests::fuzz::Target {
        name: "records",
        run: |bytes| assert!(!bytes.windows(2).any(|pair| pair == b"\"\""), "two quotes"),
        words: &["\"\""],
    };
    let (_, found) = Mutator::new(&BROKEN, 1)?.run(Duration::from_secs(60));
    assert_eq!(found.map(|found| found.what), Some("two quotes".to_owned()));
    Ok(())
}
