//! Where a value stands in a shell text, and how it is quoted there so that nothing in it is ever executed: neither by the shell of
//! POSIX (IEEE 1003.1-2024, 2.2, 2.3 and 2.6) nor by bash, which many systems have as `sh`.
//!
//! Not a shell parser: what it cannot follow with certainty (here-documents, comments, `${..}`, what shells read differently) it
//! calls unsafe, and the pipeline is refused with the remedy: the same value is in an environment variable.

/// Where a value would stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Outside quotes.
    Bare,
    /// Inside `".."`.
    Double,
    /// Inside `'..'`.
    Single,
    /// Inside `$((..))`, where no quotes keep a shell from evaluating what is no number.
    Arithmetic,
    /// Where no quoting is safe; says where, to be read after "cannot be quoted ".
    Unsafe(&'static str),
}

/// In a comment.
pub(super) const COMMENT: &str = "in a comment";
/// Where a here-document is, or was: nobody looks where it ends.
pub(super) const HERE_DOCUMENT: &str = "in or after a here-document";

const NO_NUMBER: &str = "inside `$((..))` unless it is a number";

/// What stands in a word for anything that is quoted or expanded, and for a value.
const SOMETHING: char = '\0';

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    Double,
    Single,
    /// Inside `$( .. )`, with so many parentheses open.
    Substitution(u32),
    /// Inside `$(( .. ))`, with so many parentheses open.
    Arithmetic(u32),
    Brace,
    Backtick,
    Comment,
}

/// A frame, and the word in which it was opened.
#[derive(Clone, Debug)]
struct Opened {
    frame: Frame,
    word: String,
}

/// Follows the quotes of a shell text.
#[derive(Clone, Debug, Default)]
pub(super) struct Quotes {
    open: Vec<Opened>,
    /// Something was met after which nothing is certain.
    lost: Option<&'static str>,
    /// The character before, unless that is nothing: a backslash and the line's end behind it.
    previous: Option<char>,
    /// How many `$` stand directly before: two are a whole.
    dollars: u8,
    /// The characters before are the name of a variable: `$x`, not `${x}`.
    in_name: bool,
    after_backslash: bool,
    /// What there is of the word under way, outside of quotes.
    word: String,
}

impl Quotes {
    /// Goes on over literal text.
    pub(super) fn read(&mut self, text: &str) {
        for c in text.chars() {
            if std::mem::take(&mut self.after_backslash) {
                if c != '\n' {
                    self.something();
                }
                continue;
            }
            self.step(c);
            if !self.after_backslash {
                self.in_name = (self.in_name || self.dollars == 1) && is_of_name(c);
                self.dollars = if c == '$' { self.dollars % 2 + 1 } else { 0 };
                self.previous = Some(c);
            }
        }
    }

    /// Where a value that comes next would stand.
    pub(super) fn place(&mut self) -> Place {
        let place = self.current();
        self.something();
        place
    }

    /// A value that comes next, as (part of) one word. An error says where it would stand: no quoting is safe there.
    pub(super) fn put(&mut self, value: &str) -> Result<String, &'static str> {
        let is_apart = !self.in_name && self.dollars == 0;
        let escaped = || value.replace('\'', r"'\''");
        let quoted = || format!("'{}'", escaped());
        let is_inert = |b: u8| b.is_ascii_alphanumeric() || b"_-./:@%+,".contains(&b);
        Ok(match self.place() {
            Place::Unsafe(place) => return Err(place),
            Place::Arithmetic => number(value).ok_or(NO_NUMBER)?,
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
        if self.is_in(|frame| frame == Frame::Brace) {
            return Place::Unsafe("inside `${..}`");
        }
        if self.is_in(|frame| frame == Frame::Backtick) {
            return Place::Unsafe("inside backticks");
        }
        if self.is_in_subscript() {
            return Place::Unsafe("inside `name[..]`");
        }
        match self.top() {
            Some(Frame::Single) => Place::Single,
            Some(Frame::Comment) => Place::Unsafe(COMMENT),
            _ if self.dollars == 1 => Place::Unsafe("after `$`"),
            Some(Frame::Arithmetic(1)) => Place::Unsafe("between the parentheses that end `$((..))`"),
            Some(Frame::Arithmetic(_)) if self.in_name => {
                Place::Unsafe("after the name of a variable inside `$((..))`")
            }
            Some(Frame::Arithmetic(_)) => Place::Arithmetic,
            Some(Frame::Double) => Place::Double,
            None | Some(Frame::Substitution(_) | Frame::Brace | Frame::Backtick) => Place::Bare,
        }
    }

    fn top(&self) -> Option<Frame> {
        self.open.last().map(|opened| opened.frame)
    }

    fn is_in(&self, is_it: impl Fn(Frame) -> bool) -> bool {
        self.open.iter().any(|opened| is_it(opened.frame))
    }

    /// Whether the word is one like `a[..`: if it is assigned to, bash evaluates what stands there.
    fn is_in_subscript(&self) -> bool {
        let is_it = |word: &str| {
            word.split_once('[')
                .is_some_and(|(name, rest)| !name.is_empty() && name.chars().all(is_of_name) && !rest.contains(']'))
        };
        let here = self.open.iter().rev().take_while(|opened| !matches!(opened.frame, Frame::Substitution(_)));
        is_it(&self.word) || here.into_iter().any(|opened| is_it(&opened.word))
    }

    /// Something that is no plain text stands here.
    fn something(&mut self) {
        self.word.push(SOMETHING);
        self.previous = Some('x');
        self.dollars = 0;
        self.in_name = false;
    }

    fn step(&mut self, c: char) {
        match self.top() {
            Some(Frame::Single) if c == '\'' => self.close(),
            Some(Frame::Double) if c == '"' => self.close(),
            Some(Frame::Brace) if c == '}' => self.close(),
            Some(Frame::Backtick) if c == '`' => self.close(),
            Some(Frame::Comment) if c == '\n' => {
                self.open.pop();
                self.word.clear();
            }
            Some(Frame::Single | Frame::Comment) => {}
            _ if matches!(c, '\'' | '"') && self.is_in(|frame| matches!(frame, Frame::Brace | Frame::Backtick)) => {
                self.lose("after quotes inside `${..}` or backticks");
            }
            Some(Frame::Double) => self.step_expansion(c),
            Some(Frame::Arithmetic(open)) => self.step_arithmetic(c, open),
            Some(Frame::Backtick) if c == '#' => self.lose("after `#` inside backticks"),
            Some(Frame::Brace | Frame::Backtick) => self.step_expansion(c),
            None | Some(Frame::Substitution(_)) => self.step_bare(c),
        }
    }

    /// What means the same inside and outside of double quotes.
    fn step_expansion(&mut self, c: char) {
        match c {
            '\\' => self.after_backslash = true,
            '`' => self.push(Frame::Backtick),
            '(' if self.dollars == 1 => self.push(Frame::Substitution(1)),
            '{' if self.dollars == 1 => self.push(Frame::Brace),
            '[' if self.dollars == 1 => self.lose("after `$[`, which shells read differently"),
            '(' | '{' if self.dollars == 2 => self.lose("after `$$(` or `$${`, which shells read differently"),
            _ => {}
        }
    }

    fn step_arithmetic(&mut self, c: char, open: u32) {
        match c {
            ')' if open == 1 => self.close(),
            _ if open == 1 => self.lose("after `$((` that `))` does not end"),
            ')' => self.set_top(Frame::Arithmetic(open - 1)),
            '\'' | '"' => self.lose("after quotes inside `$((..))`"),
            '(' if self.dollars == 0 => self.set_top(Frame::Arithmetic(open + 1)),
            _ => self.step_expansion(c),
        }
    }

    fn step_bare(&mut self, c: char) {
        match c {
            '\'' if self.dollars == 1 => self.lose("after a `$'..'` string"),
            '\'' => self.push(Frame::Single),
            '"' => self.push(Frame::Double),
            '\\' => self.after_backslash = true,
            '#' if self.word.is_empty() => self.push(Frame::Comment),
            '(' if self.dollars > 0 => self.step_expansion(c),
            '(' => self.open_parenthesis(),
            ' ' | '\t' | '\n' | ';' | '&' | '|' | '<' | '>' | ')' => self.end_word(c),
            _ => {
                self.word.push(c);
                self.step_expansion(c);
            }
        }
    }

    fn open_parenthesis(&mut self) {
        match (self.top(), self.previous) {
            (Some(Frame::Substitution(1)), Some('(')) => return self.set_top(Frame::Arithmetic(2)),
            (_, Some('(')) => self.lose("after `((`, which shells read differently"),
            (_, Some('<' | '>')) => self.lose("after `<(..)`, which shells read differently"),
            (_, Some('=' | '?' | '*' | '+' | '@' | '!')) if !self.word.is_empty() => {
                self.lose("after `=(..)` or `@(..)`, which shells read differently");
            }
            (Some(Frame::Substitution(open)), _) => self.set_top(Frame::Substitution(open + 1)),
            _ => {}
        }
        self.word.clear();
    }

    /// The word ends before `c`.
    fn end_word(&mut self, c: char) {
        match self.word.as_str() {
            // It has parentheses that do not pair.
            "case" if self.is_in(|frame| matches!(frame, Frame::Substitution(_))) => {
                self.lose("after a `case` inside `$(..)`");
            }
            "[[" => self.lose("after `[[`, which shells read differently"),
            _ => {}
        }
        self.word.clear();
        match (c, self.top()) {
            ('<', _) if self.previous == Some('<') => self.lose(HERE_DOCUMENT),
            (')', Some(Frame::Substitution(1))) => self.close(),
            (')', Some(Frame::Substitution(open))) => self.set_top(Frame::Substitution(open - 1)),
            _ => {}
        }
    }

    fn push(&mut self, frame: Frame) {
        self.open.push(Opened { frame, word: std::mem::take(&mut self.word) });
    }

    fn set_top(&mut self, frame: Frame) {
        if let Some(top) = self.open.last_mut() {
            top.frame = frame;
        }
    }

    /// The word goes on in which it was opened.
    fn close(&mut self) {
        if let Some(opened) = self.open.pop() {
            self.word = opened.word;
            self.word.push(SOMETHING);
        }
    }

    fn lose(&mut self, place: &'static str) {
        self.lost.get_or_insert(place);
    }
}

fn is_of_name(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}

/// A number as arithmetic reads it, whatever stands before it.
fn number(value: &str) -> Option<String> {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // `2-` and `-1` are no `2--1`.
    is_number.then(|| if digits == value { value.to_owned() } else { format!(" {value}") })
}

#[cfg(test)]
#[allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "only real shells can tell whether a value was quoted right"
)]
mod tests {
    use std::path::Path;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    /// Where a value at the first `@` stands.
    fn place(text: &str) -> Place {
        let mut quotes = Quotes::default();
        quotes.read(text.split('@').next().unwrap_or_default());
        quotes.place()
    }

    /// The text with the value at every `@`.
    fn put(text: &str, value: &str) -> Result<String, &'static str> {
        let mut quotes = Quotes::default();
        let mut shell = String::new();
        for (number, piece) in text.split('@').enumerate() {
            if number > 0 {
                shell.push_str(&quotes.put(value)?);
            }
            quotes.read(piece);
            shell.push_str(piece);
        }
        Ok(shell)
    }

    /// What every shell that is here says to a text, with standard error; bash as it is where it is `sh`.
    fn said(text: &str, folder: &Path) -> Vec<String> {
        let there = ["/bin/sh", "/bin/bash"].into_iter().filter(|shell| Path::new(shell).exists());
        let say = |shell| {
            let mut command = Command::new(shell);
            std::os::unix::process::CommandExt::arg0(&mut command, "sh");
            let output = command.args(["-ec", text]).current_dir(folder).stdin(Stdio::null()).output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
        };
        there.map(say).collect()
    }

    #[test]
    fn quotes_are_followed() {
        for text in [
            "@",
            "a @",
            "'a'@",
            "$$@",
            "\"a\"@",
            r"\'@",
            "$x@",
            "$(a @",
            "\"$(a @",
            "a # b\n@",
            "a#b@",
            "(a) @",
            "$(( $(a @",
            "$((1)) @",
            "$((1<<3)) @",
            "$(a false @",
            "$(a --verbose @",
            "a \\\n# don't b\n@",
            "f() { @",
            "a[1]=@",
            "[ @",
            "$(a)#'b' @",
            "${1%% #*} @",
            "$$'a' @",
            "a\u{a0}#'b' @",
            "`a` @",
        ] {
            assert_eq!(place(text), Place::Bare, "{text}");
        }
        for text in ["\"@", "\"a'@", "\"\\\"@", "\"$(a \"@", "\"$(a)@", "\"$x @", "\"${1%% #*}@", "a\r#\"@"] {
            assert_eq!(place(text), Place::Double, "{text}");
        }
        for text in ["'@", "'\"@", r"'\@", "$(a '@", "'a' '@", "$(a)#'@", "a\u{b}#'\n@"] {
            assert_eq!(place(text), Place::Single, "{text}");
        }
        for text in ["$(( @", "\"$((1 + @", "$(( (1) * @", "$(a $(($x-@", "$\\\n((@"] {
            assert_eq!(place(text), Place::Arithmetic, "{text}");
        }
    }

    #[test]
    fn places_that_cannot_be_followed_are_unsafe() {
        let table = [
            ("# @", COMMENT),
            ("a;#@", COMMENT),
            ("a <#@", COMMENT),
            ("a \\\n# @", COMMENT),
            ("(a)#@", COMMENT),
            ("cat <<E\n@", HERE_DOCUMENT),
            ("cat <\\\n<E\n@", HERE_DOCUMENT),
            ("`a @", "inside backticks"),
            ("\"`a @", "inside backticks"),
            ("\"`a \"b\"` @", "after quotes inside `${..}` or backticks"),
            ("${x:-`a 'b'`}@", "after quotes inside `${..}` or backticks"),
            ("${x:-$(a 'b')}@", "after quotes inside `${..}` or backticks"),
            ("`a # b` @", "after `#` inside backticks"),
            ("${x:-@", "inside `${..}`"),
            ("\"${x:-'a'}@", "after quotes inside `${..}` or backticks"),
            (r"\@", "after a backslash"),
            ("$@", "after `$`"),
            ("$\\\n@", "after `$`"),
            ("$(( $@", "after `$`"),
            ("$(( $x@", "after the name of a variable inside `$((..))`"),
            ("$'a' @", "after a `$'..'` string"),
            ("\"$(case a in a) b;; esac) @", "after a `case` inside `$(..)`"),
            ("$(cas\\\ne a in @", "after a `case` inside `$(..)`"),
            ("$(( '1' + @", "after quotes inside `$((..))`"),
            ("$((a) | b) @", "after `$((` that `))` does not end"),
            ("((x = @", "after `((`, which shells read differently"),
            ("[[ @", "after `[[`, which shells read differently"),
            ("$[ @", "after `$[`, which shells read differently"),
            ("\"$$(@", "after `$$(` or `$${`, which shells read differently"),
            ("a=(@", "after `=(..)` or `@(..)`, which shells read differently"),
            ("a <(b) @", "after `<(..)`, which shells read differently"),
            ("a[@", "inside `name[..]`"),
            ("a[\"@", "inside `name[..]`"),
        ];
        for (text, expected) in table {
            assert_eq!(place(text), Place::Unsafe(expected), "{text}");
        }
    }

    #[test]
    fn a_number_of_arithmetic_has_no_quotes_and_nothing_else_is_put_there() {
        let folder = TempDir::new().unwrap();
        for (text, value, is) in [
            ("$(( @ * 2 ))", "21", "42"),
            ("$((2 * @))", "-1", "-2"),
            ("$((1-@))", "-1", "2"),
            ("$((@+1))", "+5", "6"),
            ("$((@<10))", "5", "1"),
            ("$((1@ - 1000))", "007", "7"),
            ("\"$((0x@))\"", "10", "16"),
            ("$((1<<@)) '@' \"@\" @", "3", "8 3 3 3"),
        ] {
            let echo = format!("echo {text}");
            let expected = format!("{is}\n");
            assert!(said(&put(&echo, value).unwrap(), folder.path()).iter().all(|said| *said == expected), "{text}");
        }
        for value in ["", "x", "1 + 1", "a[$(b)]", "--1", "1.5", "-"] {
            assert_eq!(put("$(( @ ))", value), Err(NO_NUMBER), "{value}");
        }
        assert_eq!(put("@>out 2>@ ~@ @@ $x@", "1").unwrap(), "'1'>out 2>'1' ~'1' '1''1' $x'1'");
    }

    #[test]
    fn a_value_has_quotes_where_a_shell_could_take_it_for_more_than_text() {
        assert_eq!(put("@ '@' \"@\"", "").unwrap(), "'' '' \"\"");
        assert_eq!(put("@ a; echo {@} '@' \"@/x\"", "if").unwrap(), "'if' a; echo {'if'} 'if' \"if/x\"");
        assert_eq!(put("\"$x@ $$@ ${x}@ @\"", "1").unwrap(), r#""$x"'1'" $$"'1'" ${x}1 1""#);
    }

    /// Values that leave a file called `executed` behind wherever a shell reads them as more than text.
    const HOSTILE: [&str; 8] = [
        "$(touch executed)",
        "`touch executed`",
        "a[$(touch executed)]",
        "x\ntouch executed #",
        "'; touch executed; '",
        "\"; touch executed; \"",
        "a\\'; touch executed #",
        "` touch executed `",
    ];

    /// Runs a text with every hostile value, where one can be put.
    fn harmless(text: &str) {
        let folder = TempDir::new().unwrap();
        for value in HOSTILE {
            if let Ok(text) = put(text, value) {
                let said = said(&text, folder.path());
                assert!(!folder.path().join("executed").exists(), "{text}\n{said:?}");
            }
        }
    }

    /// Texts that have been read otherwise than shells do.
    #[test]
    fn nothing_in_a_value_is_executed() {
        for text in [
            "echo $(( @ * 2 ))",
            "((x = @))",
            "a[@]=1",
            "[[ @ -gt 3 ]]",
            "trim() {\n  echo \"${1%% #*}\"\n}\necho \"@\"",
            "echo a \\\n# don't b\necho @",
            "echo a \\\n# @",
            "echo $\\\n@",
            "echo $(date +%Y)#b '{\n\"name\": \"@\"\n}'",
            "echo \"pid$$(@)\"",
            "d=\"/tmp/$$\" {@}\"",
            "x=`echo a # b`\ny=`echo @`",
            "echo a\u{a0}#'\n@'",
            "echo a\r#'\n@'",
            "cat <\\\n<E\n@\nE",
            "echo ${x:- #'\n} @ '}",
            "a=(1)#'\necho @'",
        ] {
            harmless(text);
        }
    }

    const FRAGMENTS: [&str; 36] = [
        "@",
        "@",
        "@",
        " ",
        "\n",
        "\\\n",
        "echo ",
        "'",
        "'",
        "\"",
        "\"",
        "#",
        "$",
        "$$",
        "$x",
        "${x:-",
        "}",
        "$(",
        ")",
        "$((",
        "))",
        "`",
        "\\",
        ";",
        "case a in a) ",
        "esac",
        "<",
        "[",
        "[[ ",
        "=",
        "(",
        "a",
        "1",
        "{",
        "\r",
        "!",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_shell_reads_back_every_value_wherever_it_stands(value in r#"[a2'"$`\\(){};&|<>*?#~= \n!-]{0,12}"#) {
            let text = "v=w; printf '%s|' @ \"@\" '@' x@y \"$(printf %s @)\" \"a'@'b\" '\"@\"' $v@ \"$v@\"; printf '%s|' @>&1";
            let substituted = value.trim_end_matches('\n');
            let expected = format!("{value}|{value}|{value}|x{value}y|{substituted}|a'{value}'b|\"{value}\"|w{value}|w{value}|{value}|");
            for said in said(&put(text, &value).unwrap(), Path::new("/")) {
                prop_assert_eq!(&said, &expected);
            }
        }

        #[test]
        fn no_text_executes_what_is_in_a_value(fragments in prop::collection::vec(prop::sample::select(&FRAGMENTS[..]), 1..10)) {
            harmless(&fragments.concat());
        }
    }
}
