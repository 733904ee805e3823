//! What a POSIX shell reads in a text, as far as that can be told without executing it (IEEE 1003.1-2024, 2.2, 2.3 and 2.6).
//! An opinion that knows nothing of how gridmill quotes.

use std::str::Chars;

/// Words that mean something where a command may stand, when no part of them is quoted.
const RESERVED: [&str; 16] =
    ["!", "{", "}", "case", "do", "done", "elif", "else", "esac", "fi", "for", "if", "in", "then", "until", "while"];

/// What patterns, tildes, braces and assignments are made of, when it is not quoted.
const SPECIAL: &str = "*?[]~{},=^";

/// A word or an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// `;`, `&&`, `>`, a line's end, `(` or `)`: one character each.
    Operator(char),
    /// A word that means something to the shell: a reserved one, or the number before a redirection.
    Reserved(String),
    Word(Vec<Piece>),
}

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text without its quotes; of what was not quoted, what means something has a mark.
    Text(String),
    /// `$x`, `$1`, `$?`, `${..}`, and what is between backticks.
    Expansion(String),
    /// `$( .. )`.
    Command(Vec<Item>),
    /// `$(( .. ))`: its text, and what is expanded in it.
    Arithmetic(Vec<Piece>),
}

impl Piece {
    fn with(self, from: &str, to: &str) -> Self {
        match self {
            Self::Text(text) => Self::Text(text.replace(from, to)),
            Self::Expansion(text) => Self::Expansion(text),
            Self::Command(items) => Self::Command(items.into_iter().map(|item| item.with(from, to)).collect()),
            Self::Arithmetic(pieces) => {
                // A sign is no operator.
                let apart = if to.starts_with(['-', '+']) { &format!(" {to}") } else { to };
                let piece = |piece| match piece {
                    Self::Text(text) => Self::Text(text.replace(from, apart)),
                    other => other.with(from, to),
                };
                Self::Arithmetic(pieces.into_iter().map(piece).collect())
            }
        }
    }
}

impl Item {
    /// The same with one text in place of another, and without the empty ones beside something else.
    pub(super) fn with(self, from: &str, to: &str) -> Self {
        let Self::Word(pieces) = self else { return self };
        let mut pieces: Vec<Piece> = pieces.into_iter().map(|piece| piece.with(from, to)).collect();
        if pieces.len() > 1 {
            pieces.retain(|piece| *piece != Piece::Text(String::new()));
        }
        Self::Word(pieces)
    }
}

/// What a text says; nothing when something in it is not closed.
pub(super) fn read(text: &str) -> Option<Vec<Item>> {
    Reader { chars: text.chars() }.items(None)
}

struct Reader<'a> {
    chars: Chars<'a>,
}

/// A word that is being read.
#[derive(Default)]
struct Word {
    pieces: Vec<Piece>,
    /// As it stands in the text, as long as nothing in it is quoted or expanded.
    plain: Option<String>,
}

impl Word {
    fn push(&mut self, text: &str) {
        match self.pieces.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            _ => self.pieces.push(Piece::Text(text.to_owned())),
        }
    }

    fn bare(&mut self, c: char) {
        let marked = char::from_u32(0xF_0000 + u32::from(c)).filter(|_| SPECIAL.contains(c));
        self.push(marked.unwrap_or(c).encode_utf8(&mut [0; 4]));
        if let Some(plain) = &mut self.plain {
            plain.push(c);
        }
    }

    /// The word that ends before `next`.
    fn item(self, next: Option<char>) -> Item {
        let is_number = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && matches!(next, Some('<' | '>'))
        };
        match self.plain {
            Some(plain) if RESERVED.contains(&plain.as_str()) || is_number(&plain) => Item::Reserved(plain),
            _ => Item::Word(self.pieces),
        }
    }
}

impl Reader<'_> {
    /// The character after the lines that go on here.
    fn peek(&mut self) -> Option<char> {
        while let Some(rest) = self.chars.as_str().strip_prefix("\\\n") {
            self.chars = rest.chars();
        }
        self.chars.clone().next()
    }

    fn next(&mut self) -> Option<char> {
        self.peek();
        self.chars.next()
    }

    fn next_if(&mut self, is_wanted: impl FnOnce(char) -> bool) -> Option<char> {
        let next = self.peek().filter(|&c| is_wanted(c))?;
        self.chars.next();
        Some(next)
    }

    /// Up to `end`, which is taken, or to the end of the text.
    fn items(&mut self, end: Option<char>) -> Option<Vec<Item>> {
        let (mut items, mut word, mut open) = (Vec::new(), None::<Word>, 0_u32);
        loop {
            let next = self.peek();
            let ends_word = next.is_none_or(|c| c == ' ' || c == '\t' || c == '\n' || ";&|<>()".contains(c));
            if ends_word && let Some(word) = word.take() {
                items.push(word.item(next));
            }
            let Some(c) = self.next() else { return end.is_none().then_some(items) };
            match c {
                ' ' | '\t' => {}
                '#' if word.is_none() => {
                    let line = self.chars.as_str();
                    self.chars = line.find('\n').map_or("", |end| &line[end..]).chars();
                }
                _ if ends_word => {
                    if Some(c) == end && open == 0 {
                        return Some(items);
                    }
                    open = match c {
                        '(' => open + 1,
                        ')' => open.saturating_sub(1),
                        _ => open,
                    };
                    items.push(Item::Operator(c));
                }
                _ => {
                    self.step(c, word.get_or_insert_with(|| Word { plain: Some(String::new()), ..Word::default() }))?
                }
            }
        }
    }

    /// A character of a word that is in no quotes.
    fn step(&mut self, c: char, word: &mut Word) -> Option<()> {
        match c {
            '\'' => {
                let quoted = self.until('\'')?;
                word.push(&quoted);
            }
            '"' => self.double(word)?,
            '\\' => word.push(self.chars.next()?.encode_utf8(&mut [0; 4])),
            '$' | '`' => return self.expansion(c, word, true),
            _ => {
                word.bare(c);
                return Some(());
            }
        }
        word.plain = None;
        Some(())
    }

    fn double(&mut self, word: &mut Word) -> Option<()> {
        word.push("");
        loop {
            match self.next()? {
                '"' => return Some(()),
                '\\' => match self.chars.next()? {
                    escaped @ ('$' | '`' | '"' | '\\') => word.push(escaped.encode_utf8(&mut [0; 4])),
                    other => word.push(&format!("\\{other}")),
                },
                c @ ('$' | '`') => self.expansion(c, word, false)?,
                c => word.push(c.encode_utf8(&mut [0; 4])),
            }
        }
    }

    fn expansion(&mut self, c: char, word: &mut Word, is_bare: bool) -> Option<()> {
        let piece = match (c, self.peek()) {
            ('`', _) => Piece::Expansion(format!("`{}`", self.backticks()?)),
            (_, Some('(')) => {
                self.chars.next();
                match self.next_if(|c| c == '(') {
                    Some(_) => Piece::Arithmetic(self.arithmetic()?),
                    None => Piece::Command(self.items(Some(')'))?),
                }
            }
            (_, Some('{')) => Piece::Expansion(format!("${}", self.until('}')?)),
            (_, Some(first)) if first == '_' || first.is_ascii_alphabetic() => {
                let mut name = String::from('$');
                while let Some(c) = self.next_if(|c| c == '_' || c.is_ascii_alphanumeric()) {
                    name.push(c);
                }
                Piece::Expansion(name)
            }
            (_, Some(special)) if special.is_ascii_digit() || "@*#?-$!".contains(special) => {
                self.chars.next();
                Piece::Expansion(format!("${special}"))
            }
            _ if is_bare => {
                word.bare('$');
                return Some(());
            }
            _ => {
                word.push("$");
                return Some(());
            }
        };
        word.pieces.push(piece);
        word.plain = None;
        Some(())
    }

    /// Up to its `))`; nothing where there are quotes, which mean different things to shells.
    fn arithmetic(&mut self) -> Option<Vec<Piece>> {
        let (mut word, mut open) = (Word::default(), 0_u32);
        loop {
            match self.next()? {
                ')' if open == 0 => return (self.next()? == ')').then_some(word.pieces),
                '\'' | '"' => return None,
                '\\' => word.push(&format!("\\{}", self.chars.next()?)),
                c @ ('$' | '`') => self.expansion(c, &mut word, false)?,
                c => {
                    open = match c {
                        '(' => open + 1,
                        ')' => open - 1,
                        _ => open,
                    };
                    word.push(c.encode_utf8(&mut [0; 4]));
                }
            }
        }
    }

    fn until(&mut self, end: char) -> Option<String> {
        let mut text = String::new();
        loop {
            match self.chars.next()? {
                c if c == end => return Some(text),
                c => text.push(c),
            }
        }
    }

    fn backticks(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            match self.chars.next()? {
                '`' => return Some(text),
                '\\' => text.extend(['\\', self.chars.next()?]),
                c => text.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a text, with what is not text in angle brackets.
    fn words(text: &str) -> Option<Vec<String>> {
        let piece = |piece| match piece {
            Piece::Text(text) => text,
            Piece::Expansion(text) => format!("<{text}>"),
            Piece::Command(items) => format!("<{}>", items.len()),
            Piece::Arithmetic(pieces) => format!("<<{}>>", pieces.len()),
        };
        let word = |item| match item {
            Item::Word(pieces) => pieces.into_iter().map(piece).collect(),
            Item::Reserved(word) => format!("<{word}>"),
            Item::Operator(c) => format!("<{c}>"),
        };
        Some(read(text)?.into_iter().map(word).collect())
    }

    #[test]
    fn words_are_those_of_a_shell() {
        for text in [
            r"a b\ c\\d",
            "'a b'c \"d e\" '' \"\"",
            r#"a'b"c'd"e'f" 'a\b' "a\b" "a\"b" "a\\b""#,
            "a#b # c",
            "a\\\nb \"c\\\nd\"",
            "a \\\n# b",
            "a\u{a0}#'b c' \r",
        ] {
            let output = std::process::Command::new("sh").args(["-c", &format!("printf '%s\\n' {text}")]).output();
            let said = String::from_utf8(output.expect("a shell").stdout).expect("it was text");
            assert_eq!(words(text), Some(said.split_terminator('\n').map(str::to_owned).collect()), "{text}");
        }
    }

    #[test]
    fn operators_expansions_and_what_means_something_are_told_apart() {
        let told = |text: &str, expected: &[&str]| {
            assert_eq!(words(text), Some(expected.iter().map(|&word| word.to_owned()).collect()), "{text}");
        };
        told("a;b 2>c 'd'>e", &["a", "<;>", "b", "<2>", "<>>", "c", "d", "<>>", "e"]);
        told("if 'if' i\"f\"", &["<if>", "if", "if"]);
        told("$x1y\"$x z\" $1a ${x:-b} `c d`", &["<$x1y><$x> z", "<$1>a", "<${x:-b>", "<`c d`>"]);
        told("a$(b (c) \"$(d)\")e $", &["a<5>e", "$"]);
        told("$((1 + (2)*$x)) a", &["<<2>>", "a"]);
        told("$\\\n(\\\n(1)\\\n) $x\\\ny i\\\nf 2\\\n>a", &["<<1>>", "<$xy>", "<if>", "<2>", "<>>", "a"]);
        assert_ne!(words("*"), words("'*'"));
        for text in ["$((1)", "$((1) )", "$(('1'))", "'a", "\"a", "$(a", "`a", "${a", "a\\"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
