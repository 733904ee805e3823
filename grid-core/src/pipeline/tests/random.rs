use proptest::prelude::*;

use super::YEAR_END_REPORT;
use crate::pipeline::parse;

/// Pieces that lead deep into the grammar.
const PIECES: &[&str] = &[
    "name: n\n",
    "stages:\n",
    "  a:\n",
    "    run: x\n",
    "    range: 1..2\n",
    "    split: {",
    "input: i",
    ", by: ",
    "bytes",
    "}",
    "{",
    "[",
    "]",
    ": ",
    ", ",
    "\n",
    "&a ",
    "*a",
    "!!str ",
    "!x ",
    "<<: ",
    "|\n",
    "${{ key.x }}",
    "${{",
    "}}",
    "'",
    "\"",
    "$(",
    ")",
    "`",
    "\\",
    "\t",
    "---\n",
    "\u{feff}",
    "ä",
    "🔑",
    "\0",
    "- ",
    "? ",
    "all: a\n",
    "after: a\n",
    "matrix: {",
    "include: [{",
    "list: [a, ",
    "0.1%",
    "1e999",
    "-",
    "null",
];

proptest! {
    #[test]
    fn noise_is_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        drop(parse(&text, "noise").map_err(|faults| faults.render(true)));
    }

    #[test]
    fn pieces_in_any_order_are_never_a_panic(at in prop::collection::vec(0..PIECES.len(), 0..40)) {
        let text: String = at.into_iter().map(|at| PIECES[at]).collect();
        drop(parse(&text, "noise").map_err(|faults| faults.render(true)));
    }

    #[test]
    fn a_damaged_file_is_never_a_panic(
        at in 0..YEAR_END_REPORT.len(), cut in 0..20_usize, put in 0..PIECES.len(),
    ) {
        let mut text = YEAR_END_REPORT.to_owned();
        let end = (at + cut).min(text.len());
        text.replace_range(at..end, PIECES[put]);
        drop(parse(&text, "noise").map_err(|faults| faults.render(true)));
    }
}
