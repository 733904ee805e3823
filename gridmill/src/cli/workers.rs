//! How many items run at once: `N`, or `A..B`.

/// How many items run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// One worker with so many slots.
    Fixed(u32),
    /// Workers of one slot each, at least and at most so many.
    Between(u32, u32),
}

/// More processes at once are a mistake.
const MAX_WORKERS: u32 = 4_096;

/// Reads `N` or `A..B`.
pub(super) fn workers(text: &str) -> Result<Workers, String> {
    let wrong =
        || format!("`{text}` is no number of workers: write one from 1 to {MAX_WORKERS}, or a range such as 0..8");
    let number = |text: &str| text.parse().ok().filter(|number| *number <= MAX_WORKERS).ok_or_else(wrong);
    let read = match text.split_once("..") {
        None => Workers::Fixed(number(text)?),
        Some((least, most)) => Workers::Between(number(least)?, number(most)?),
    };
    match read {
        Workers::Fixed(0) | Workers::Between(_, 0) => Err(wrong()),
        Workers::Between(least, most) if least > most => Err(format!("`{text}` begins with more than it ends with")),
        Workers::Fixed(_) | Workers::Between(..) => Ok(read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_or_a_range_that_can_be() {
        assert_eq!(workers("4"), Ok(Workers::Fixed(4)));
        assert_eq!(workers("0..8"), Ok(Workers::Between(0, 8)));
        assert_eq!(workers("3..3"), Ok(Workers::Between(3, 3)));
        for wrong in ["", "0", "-1", "x", "4097", "1..", "..4", "0..0", "1..4097", "1...3"] {
            let refused = workers(wrong).unwrap_err();
            assert!(refused.contains("is no number of workers"), "{wrong}: {refused}");
        }
        assert_eq!(workers("4..2"), Err("`4..2` begins with more than it ends with".to_owned()));
    }
}
