//! Reads a filter.

use super::{Expr, Field};
use crate::limits::MAX_FILTER_BYTES;
use crate::pipeline::nearest;
use crate::reason::Reason;

/// Brackets and `not`s inside one another.
const MAX_DEPTH: usize = 32;

const FIELDS: [&str; 8] = ["stage", "item", "reason", "exit", "signal", "message", "stderr", "key.DIMENSION"];

/// What is wrong with a filter, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It is longer than any that people write.
    #[error("it has {0} bytes, more than {MAX_FILTER_BYTES}")]
    TooLong(usize),
    /// It cannot be understood.
    #[error("column {column}: {what}")]
    At {
        /// Counted in characters, from 1.
        column: usize,
        /// What is wrong there.
        what: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A bare word: a keyword, a field, or a value.
    Word(String),
    Quoted(String),
    Sign(&'static str),
}

pub(super) fn parse(text: &str) -> Result<Expr, FilterError> {
    if text.len() > MAX_FILTER_BYTES {
        return Err(FilterError::TooLong(text.len()));
    }
    let mut reader = Reader { tokens: tokens(text)?, next: 0, end: text.chars().count() + 1 };
    let expr = reader.any(0)?;
    match reader.peek() {
        None => Ok(expr),
        Some(token) => Err(reader.wrong(format!("`and` or `or` is missing before `{}`", words_of(token)))),
    }
}

fn words_of(token: &Token) -> &str {
    match token {
        Token::Word(text) | Token::Quoted(text) => text,
        Token::Sign(sign) => sign,
    }
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, FilterError> {
    const SIGNS: [&str; 7] = ["!=", "!~", "=", "~", "(", ")", ","];
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let starts_with = |sign: &&&str| sign.chars().zip(&chars[at..]).filter(|(a, b)| a == *b).count() == sign.len();
        let start = at;
        let token = if chars[at].is_whitespace() {
            at += 1;
            continue;
        } else if let Some(sign) = SIGNS.iter().find(starts_with) {
            at += sign.len();
            Token::Sign(sign)
        } else if matches!(chars[at], '\'' | '"') {
            let len = chars[at + 1..].iter().position(|c| *c == chars[at]);
            let what = "the quoted text has no end".to_owned();
            let len = len.ok_or(FilterError::At { column: at + 1, what })?;
            at += len + 2;
            Token::Quoted(chars[start + 1..at - 1].iter().collect())
        } else {
            let is_word = |c: &char| !c.is_whitespace() && !"=!~(),'\"".contains(*c);
            // A sign that begins nothing stands alone.
            at += chars[at..].iter().take_while(|c| is_word(c)).count().max(1);
            Token::Word(chars[start..at].iter().collect())
        };
        tokens.push((start + 1, token));
    }
    Ok(tokens)
}

struct Reader {
    /// With their columns.
    tokens: Vec<(usize, Token)>,
    next: usize,
    /// The column after the last character.
    end: usize,
}

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn column(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |(column, _)| *column)
    }

    fn wrong(&self, what: impl Into<String>) -> FilterError {
        FilterError::At { column: self.column(), what: what.into() }
    }

    fn takes(&mut self, wanted: &Token) -> bool {
        let is_there = self.peek() == Some(wanted);
        self.next += usize::from(is_there);
        is_there
    }

    fn takes_word(&mut self, word: &str) -> bool {
        self.takes(&Token::Word(word.to_owned()))
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), FilterError> {
        if self.takes(&Token::Sign(sign)) { Ok(()) } else { Err(self.wrong(format!("`{sign}` is missing"))) }
    }

    fn any(&mut self, depth: usize) -> Result<Expr, FilterError> {
        let mut parts = vec![self.all(depth)?];
        while self.takes_word("or") {
            parts.push(self.all(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::Any(parts) })
    }

    fn all(&mut self, depth: usize) -> Result<Expr, FilterError> {
        let mut parts = vec![self.one(depth)?];
        while self.takes_word("and") {
            parts.push(self.one(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::All(parts) })
    }

    fn one(&mut self, depth: usize) -> Result<Expr, FilterError> {
        if depth > MAX_DEPTH {
            return Err(self.wrong("too many brackets inside brackets"));
        }
        if self.takes_word("not") {
            return Ok(Expr::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.takes(&Token::Sign("(")) {
            let inside = self.any(depth + 1)?;
            self.expect(")")?;
            return Ok(inside);
        }
        self.test()
    }

    fn test(&mut self) -> Result<Expr, FilterError> {
        let Some(Token::Word(name)) = self.peek().cloned() else {
            return Err(self.wrong("a field is missing, such as `reason` in `reason=oom`"));
        };
        let field = self.field(&name)?;
        self.next += 1;
        let no = |expr| Expr::Not(Box::new(expr));
        match self.peek().cloned() {
            Some(Token::Sign("=")) => Ok(Expr::Is(field.clone(), vec![self.value_after(&field)?])),
            Some(Token::Sign("!=")) => Ok(no(Expr::Is(field.clone(), vec![self.value_after(&field)?]))),
            Some(Token::Sign("~")) => Ok(Expr::Holds(field, self.text_after()?)),
            Some(Token::Sign("!~")) => Ok(no(Expr::Holds(field, self.text_after()?))),
            Some(Token::Word(word)) if word == "in" => self.list(field),
            _ => Err(self.wrong(format!("`=`, `!=`, `~`, `!~` or `in` is missing after `{name}`"))),
        }
    }

    fn field(&self, name: &str) -> Result<Field, FilterError> {
        match name {
            "stage" => Ok(Field::Stage),
            "item" => Ok(Field::Item),
            "reason" => Ok(Field::Reason),
            "exit" => Ok(Field::Exit),
            "signal" => Ok(Field::Signal),
            "message" => Ok(Field::Message),
            "stderr" => Ok(Field::Stderr),
            _ => match name.strip_prefix("key.") {
                Some(dim) if !dim.is_empty() => Ok(Field::Key(dim.to_owned())),
                _ => {
                    let hint = nearest::hint(name, FIELDS).unwrap_or_default();
                    Err(self.wrong(format!("`{name}` is no field: {hint}")))
                }
            },
        }
    }

    fn list(&mut self, field: Field) -> Result<Expr, FilterError> {
        self.next += 1;
        if self.peek() != Some(&Token::Sign("(")) {
            return Err(self.wrong("`(` is missing after `in`"));
        }
        let mut values = vec![self.value_after(&field)?];
        while self.peek() == Some(&Token::Sign(",")) {
            values.push(self.value_after(&field)?);
        }
        self.expect(")")?;
        Ok(Expr::Is(field, values))
    }

    /// The text after a sign.
    fn text_after(&mut self) -> Result<String, FilterError> {
        self.next += 1;
        match self.peek().cloned() {
            Some(Token::Word(text) | Token::Quoted(text)) => {
                self.next += 1;
                Ok(text)
            }
            Some(Token::Sign(_)) | None => Err(self.wrong("a value is missing")),
        }
    }

    /// As [`Reader::text_after`], something that the field can be.
    fn value_after(&mut self, field: &Field) -> Result<String, FilterError> {
        let value = self.text_after()?;
        let what = match field {
            Field::Reason if Reason::ALL.iter().all(|reason| reason.as_str() != value) => {
                let hint = nearest::hint(&value, Reason::ALL.map(Reason::as_str)).unwrap_or_default();
                format!("`{value}` is no reason: {hint}")
            }
            Field::Exit | Field::Signal if value.parse::<i32>().is_err() => format!("`{value}` is no whole number"),
            _ => return Ok(value),
        };
        self.next -= 1;
        Err(self.wrong(what))
    }
}
