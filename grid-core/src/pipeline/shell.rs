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
            // `$$` is a whole: what follows is not after a `$`.
            let is_whole = was_escaped || (c == '$' && self.previous == Some('$'));
            self.previous = Some(if is_whole { 'x' } else { c });
        }
    }

    /// Where a value that comes next would stand.
    pub(super) fn place(&mut self) -> Place {
        let place = self.current();
        self.previous = Some('x');
        place
    }

    /// A value that comes next, as (part of) one word, before `next`. An error says where it would stand: no quoting is safe there.
    pub(super) fn put(&mut self, value: &str, next: Option<char>) -> Result<String, &'static str> {
        // Without quotes `$x` and `~` would go on in it, and a number before `>` would be no text, wherever it begins.
        let is_of_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
        let goes_on = self.previous.is_some_and(|c| is_of_name(c) || c == '~');
        let is_apart = !goes_on && !next.is_some_and(|c| is_of_name(c) || matches!(c, '<' | '>' | '\\'));
        let escaped = || value.replace('\'', r"'\''");
        let quoted = || format!("'{}'", escaped());
        let is_inert = |b: u8| b.is_ascii_alphanumeric() || b"_-./:@%+,".contains(&b);
        Ok(match self.place() {
            Place::Unsafe(place) => return Err(place),
            Place::Bare if is_apart && is_number(value) => value.to_owned(),
            Place::Bare => quoted(),
            Place::Double if is_apart && value.bytes().all(is_inert) => value.to_owned(),
            Place::Double => format!("\"{}\"", quoted()),
            Place::Single => escaped(),
        })
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
        self.previous.is_none_or(|c| c.is_whitespace() || matches!(c, ';' | '&' | '|' | '(' | ')' | '<' | '>'))
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

/// Whether it is one of arithmetic, which knows no quotes.
fn is_number(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
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
                shell.push_str(&quotes.put(value, piece.chars().next()).expect(text));
            }
            quotes.read(piece);
            shell.push_str(piece);
        }
        shell
    }

    #[test]
    fn quotes_are_followed() {
        for text in [
            "@", "a @", "'a'@", "$$@", "\"$$(\"@", "\"a\"@", r"\'@", "$x@", "$(a @", "\"$(a @", "a # b\n@", "a#b@",
            "$((1 + @", "(a) @",
        ] {
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
            ("a <#@", "in a comment"),
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
    fn a_number_has_no_quotes_where_it_is_a_number_without_them() {
        assert_eq!(put("echo $(( @ * 2 ))", "21"), "echo $(( 21 * 2 ))");
        assert_eq!(put("echo $(( 2 * @ ))", "-1"), "echo $(( 2 * -1 ))");
        assert_eq!(put("echo @>out @<in @6>out @\\\n>out", "2"), "echo '2'>out '2'<in '2'6>out '2'\\\n>out");
        assert_eq!(put(r#"a $x@ "$x@ @" ~@ @@"#, "1"), r#"a $x'1' "$x"'1'" 1" ~'1' 1'1'"#);
    }

    #[test]
    fn every_other_value_has_quotes_where_a_shell_could_take_it_for_more_than_text() {
        assert_eq!(put("@ '@' \"@\"", ""), "'' '' \"\"");
        assert_eq!(put("@ a; echo {@} '@' \"@/x\"", "if"), "'if' a; echo {'if'} 'if' \"if/x\"");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_shell_reads_back_every_value_wherever_it_stands(value in r#"[a2'"$`\\(){};&|<>*?#~= \n!-]{0,12}"#) {
            let text = "v=w; printf '%s|' @ \"@\" '@' x@y \"$(printf %s @)\" \"a'@'b\" '\"@\"' $v@ \"$v@\"; printf '%s|' @>&1";
            let output = Command::new("/bin/sh").args(["-c", &put(text, &value)]).output().unwrap();
            let got = String::from_utf8(output.stdout).unwrap();
            let substituted = value.trim_end_matches('\n');
            let expected = format!("{value}|{value}|{value}|x{value}y|{substituted}|a'{value}'b|\"{value}\"|w{value}|w{value}|{value}|");
            prop_assert_eq!(got, expected);
        }
    }
}
