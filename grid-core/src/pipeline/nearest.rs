//! The nearest known word to one that is not known.

/// A hint for people: the known word that is near, or else the known words when they are few.
pub(crate) fn hint<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    let mut known: Vec<&str> = known.into_iter().collect();
    if let Some(near) = nearest(word, &known) {
        return Some(format!("did you mean `{near}`?"));
    }
    known.sort_unstable();
    known.dedup();
    match known.as_slice() {
        [] => None,
        [only] => Some(format!("known is `{only}`")),
        few if few.len() <= MAX_LISTED => Some(format!("known are `{}`", few.join("`, `"))),
        _ => None,
    }
}

/// More words than this say less than none; a stage has 29 keys.
const MAX_LISTED: usize = 40;

/// Longer words are never near to one of ours, and comparing them costs the square of their length.
const MAX_WORD_BYTES: usize = 128;

/// The known word with the fewest typing errors, if it is less than about a third of the word.
fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    if word.len() > MAX_WORD_BYTES {
        return None;
    }
    let word = word.to_lowercase();
    let errors = |candidate: &str| strsim::damerau_levenshtein(&word, &candidate.to_lowercase());
    let (near, errors) =
        known.iter().map(|&candidate| (candidate, errors(candidate))).min_by_key(|&(_, errors)| errors)?;
    (errors <= (word.chars().count() / 3).max(1)).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_is_recognised_and_a_different_word_is_not() {
        assert_eq!(nearest("tiemout", &["retry", "timeout", "skip"]), Some("timeout"));
        assert_eq!(nearest("Split", &["split"]), Some("split"));
        assert_eq!(nearest("colour", &["retry", "timeout", "skip"]), None);
        assert_eq!(nearest(&"x".repeat(10_000), &["x"]), None);
    }

    #[test]
    fn few_words_are_listed_and_many_are_not() {
        assert_eq!(hint("zzz", ["b", "a"]), Some("known are `a`, `b`".into()));
        assert_eq!(hint("zzz", []), None);
        let many: Vec<String> = (0..50).map(|i| format!("word{i}")).collect();
        assert_eq!(hint("zzz", many.iter().map(String::as_str)), None);
    }
}
