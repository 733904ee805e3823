//! Where a value stands in a shell text, and how it is quoted there so that nothing in it is ever executed.
//!
//! Not a shell parser: what it cannot follow with certainty (here-documents, comments, `${..}`) it calls unsafe, and
//! the pipeline is refused with the remedy: the same value is in an environment variable.

/// Where a value would stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Outside quotes.
    Bare,
    /// Inside `".."`.
    Double,
    /// Inside `'..'`.
    Single,
    /// Where no quoting is safe; says where, to be read after "cannot be quoted ".
    Unsafe(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    Double,
    Single,
    /// Inside `$( .. )`, with so many parentheses open.
    Substitution(u32),
    Brace,
    Backtick,
    Comment,
}

/// Follows the quotes of a shell text.
#[derive(Clone, Debug, Default)]
pub(super) struct Quotes {
    open: Vec<Frame>,
    /// Something was met after which nothing is certain.
    lost: Option<&'static str>,
    previous: Option<char>,
    after_backslash: bool,
}

impl Quotes {
    /// Goes on over literal text.
    pub(super) fn read(&mut self, text: &str) {
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let was_escaped = std::mem::take(&mut self.after_backslash);
            if !was_escaped {
                self.step(c, chars.peek().copied());
            }
            self.previous = Some(if was_escaped { 'x' } else { c });
        }
    }

    /// Where a value that comes next would stand.
    pub(super) fn place(&mut self) -> Place {
        let place = self.current();
        self.previous = Some('x');
        place
    }

    fn current(&self) -> Place {
        if let Some(lost) = self.lost {
            return Place::Unsafe(lost);
        }
        if self.after_backslash {
            return Place::Unsafe("after a backslash");
        }
        if self.open.contains(&Frame::Brace) {
            return Place::Unsafe("inside `${..}`");
        }
        if self.open.contains(&Frame::Backtick) {
            return Place::Unsafe("inside backticks");
        }
        match self.open.last() {
            None | Some(Frame::Substitution(_)) if self.previous == Some('$') => Place::Unsafe("after `$`"),
            None | Some(Frame::Substitution(_)) => Place::Bare,
            Some(Frame::Double) if self.previous == Some('$') => Place::Unsafe("after `$`"),
            Some(Frame::Double) => Place::Double,
            Some(Frame::Single) => Place::Single,
            Some(Frame::Comment) => Place::Unsafe("in a comment"),
            Some(Frame::Brace | Frame::Backtick) => Place::Unsafe("here"),
        }
    }

    fn step(&mut self, c: char, next: Option<char>) {
        match self.open.last().copied() {
            Some(Frame::Single) => self.close_on(c, '\''),
            Some(Frame::Comment) => self.close_on(c, '\n'),
            Some(Frame::Double) => self.step_double(c),
            Some(Frame::Brace) if c == '}' => self.close(),
            Some(Frame::Backtick) if c == '`' => self.close(),
            _ => self.step_bare(c, next),
        }
    }

    fn step_double(&mut self, c: char) {
        match c {
            '"' => self.close(),
            _ => self.step_expansion(c),
        }
    }

    /// What means the same inside and outside of double quotes.
    fn step_expansion(&mut self, c: char) {
        match (self.previous, c) {
            (_, '\\') => self.after_backslash = true,
            (_, '`') => self.open.push(Frame::Backtick),
            (Some('$'), '(') => self.open.push(Frame::Substitution(1)),
            (Some('$'), '{') => self.open.push(Frame::Brace),
            _ => {}
        }
    }

    fn step_bare(&mut self, c: char, next: Option<char>) {
        match c {
            '\'' | '"' if self.open.iter().any(|f| matches!(f, Frame::Brace | Frame::Backtick)) => {
                self.lose("after quotes inside `${..}` or backticks");
            }
            '\'' if self.previous == Some('$') => self.lose("after a `$'..'` string"),
            '\'' => self.open.push(Frame::Single),
            '"' => self.open.push(Frame::Double),
            '#' if self.begins_word() => self.open.push(Frame::Comment),
            '<' if next == Some('<') => self.lose("in or after a here-document"),
            '(' if self.previous != Some('$') => self.count_parenthesis(),
            ')' => self.close_parenthesis(),
            _ => self.step_expansion(c),
        }
        if c == 'e' && self.previous == Some('s') && self.open.iter().any(|f| matches!(f, Frame::Substitution(_))) {
            self.watch_for_case(next);
        }
    }

    /// `case a in a) ..` has parentheses that do not pair.
    fn watch_for_case(&mut self, next: Option<char>) {
        if next.is_none_or(char::is_whitespace) {
            self.lose("after a `case` inside `$(..)`");
        }
    }

    fn begins_word(&self) -> bool {
        self.previous.is_none_or(|c| c.is_whitespace() || matches!(c, ';' | '&' | '|' | '(' | ')'))
    }

    fn count_parenthesis(&mut self) {
        if let Some(Frame::Substitution(count)) = self.open.last_mut() {
            *count += 1;
        }
    }

    fn close_parenthesis(&mut self) {
        match self.open.last_mut() {
            Some(Frame::Substitution(1)) => self.close(),
            Some(Frame::Substitution(count)) => *count -= 1,
            _ => {}
        }
    }

    fn close_on(&mut self, c: char, end: char) {
        if c == end {
            self.close();
        }
    }

    fn close(&mut self) {
        self.open.pop();
    }

    fn lose(&mut self, place: &'static str) {
        self.lost.get_or_insert(place);
    }
}

/// The value as (part of) one word at that place, which must not be unsafe. What needs no quotes gets none, so that
/// numbers work in arithmetic.
pub(super) fn quote(value: &str, place: Place) -> String {
    let is_inert = |b: u8| b.is_ascii_alphanumeric() || b"_-./:@%+,".contains(&b);
    if !value.is_empty() && value.bytes().all(is_inert) {
        return value.to_owned();
    }
    let quoted = format!("'{}'", value.replace('\'', r"'\''"));
    match place {
        Place::Bare | Place::Unsafe(_) => quoted,
        Place::Double => format!("\"{quoted}\""),
        Place::Single => format!("'{quoted}'"),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_types, reason = "only a real shell can tell whether a value was quoted right")]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// Where a value at `@` stands.
    fn place(text: &str) -> Place {
        let mut quotes = Quotes::default();
        quotes.read(text.split('@').next().unwrap_or_default());
        quotes.place()
    }

    /// The text with the value at every `@`.
    fn put(text: &str, value: &str) -> String {
        let mut quotes = Quotes::default();
        let mut shell = String::new();
        for (number, piece) in text.split('@').enumerate() {
            if number > 0 {
                let place = quotes.place();
                assert!(!matches!(place, Place::Unsafe(_)), "{text}");
                shell.push_str(&quote(value, place));
            }
            quotes.read(piece);
            shell.push_str(piece);
        }
        shell
    }

    #[test]
    fn quotes_are_followed() {
        for text in
            ["@", "a @", "'a'@", "\"a\"@", r"\'@", "$x@", "$(a @", "\"$(a @", "a # b\n@", "a#b@", "$((1 + @", "(a) @"]
        {
            assert_eq!(place(text), Place::Bare, "{text}");
        }
        for text in ["\"@", "\"a'@", "\"\\\"@", "\"$(a \"@", "\"$(a)@", "\"$x @"] {
            assert_eq!(place(text), Place::Double, "{text}");
        }
        for text in ["'@", "'\"@", r"'\@", "$(a '@", "'a' '@"] {
            assert_eq!(place(text), Place::Single, "{text}");
        }
    }

    #[test]
    fn places_that_cannot_be_followed_are_unsafe() {
        let table = [
            ("# @", "in a comment"),
            ("a;#@", "in a comment"),
            ("cat <<E\n@", "in or after a here-document"),
            ("`a @", "inside backticks"),
            ("\"`a @", "inside backticks"),
            ("${x:-@", "inside `${..}`"),
            ("\"${x:-'a'}@", "after quotes inside `${..}` or backticks"),
            (r"\@", "after a backslash"),
            ("$@", "after `$`"),
            ("$'a' @", "after a `$'..'` string"),
            ("\"$(case a in a) b;; esac) @", "after a `case` inside `$(..)`"),
        ];
        for (text, expected) in table {
            assert_eq!(place(text), Place::Unsafe(expected), "{text}");
        }
    }

    #[test]
    fn numbers_and_plain_words_need_no_quotes() {
        assert_eq!(put("echo $(( @ * 2 ))", "21"), "echo $(( 21 * 2 ))");
        assert_eq!(put("@ '@' \"@\"", ""), "'' '''''' \"\"''\"\"");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_shell_reads_back_every_value_wherever_it_stands(value in r#"[a'"$`\\(){};&|<>*?#~= \n!-]{0,12}"#) {
            let text = "printf '%s|' @ \"@\" '@' x@y \"$(printf %s @)\" \"a'@'b\" '\"@\"'";
            let output = Command::new("/bin/sh").args(["-c", &put(text, &value)]).output().unwrap();
            let got = String::from_utf8(output.stdout).unwrap();
            let substituted = value.trim_end_matches('\n');
            let expected = format!("{value}|{value}|{value}|x{value}y|{substituted}|a'{value}'b|\"{value}\"|");
            prop_assert_eq!(got, expected);
        }
    }
}
