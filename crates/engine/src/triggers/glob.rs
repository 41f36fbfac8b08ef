//! Patterns of trigger filters: `*` stays within a name between slashes, `**` crosses them, `?`, `[…]`, `{a,b}`, `\`.

use regex::Regex;

/// Why a pattern cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pattern {pattern:?} {fault}")]
pub struct GlobError {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub fault: &'static str,
}

/// A pattern.
#[derive(Clone, Debug)]
pub struct Glob(Regex);

impl Glob {
    /// Reads a pattern. A name fits as a whole, upper and lower case apart. `**` between slashes also stands for no
    /// directory at all: `common/**/*.js` fits `common/app.js` (pipelines-triggers, example 1).
    ///
    /// # Errors
    /// A bracket or brace without its other half, or nothing behind the last `\`.
    pub fn new(pattern: &str) -> Result<Self, GlobError> {
        let fail = |fault| GlobError { pattern: pattern.to_owned(), fault };
        let expression = Translation::of(pattern).map_err(fail)?;
        let sized = regex::RegexBuilder::new(&expression).size_limit(1 << 20).build();
        sized.map(Self).map_err(|_| fail("is too large"))
    }

    /// Whether a name fits.
    pub fn fits(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

struct Translation<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    before: Option<char>,
    expression: String,
    depth: usize,
}

impl<'a> Translation<'a> {
    fn of(pattern: &'a str) -> Result<String, &'static str> {
        let rest = pattern.chars().peekable();
        let mut translation = Self { rest, before: None, expression: r"(?s)\A(?:".into(), depth: 0 };
        while let Some(next) = translation.rest.next() {
            translation.take(next)?;
            translation.before = Some(next);
        }
        if translation.depth > 0 {
            return Err("has a { without its }");
        }
        translation.expression.push_str(r")\z");
        Ok(translation.expression)
    }

    fn take(&mut self, next: char) -> Result<(), &'static str> {
        match next {
            '*' => self.star(),
            '?' => self.expression.push_str("[^/]"),
            '[' => self.class()?,
            '{' => {
                self.depth += 1;
                self.expression.push_str("(?:");
            }
            '}' if self.depth == 0 => return Err("has a } without its {"),
            '}' => {
                self.depth -= 1;
                self.expression.push(')');
            }
            ',' if self.depth > 0 => self.expression.push('|'),
            '\\' => {
                let escaped = self.rest.next().ok_or("ends with a \\ that escapes nothing")?;
                self.literal(escaped);
            }
            other => self.literal(other),
        }
        Ok(())
    }

    fn star(&mut self) {
        let starts_component = matches!(self.before, None | Some('/' | '{' | ','));
        if self.rest.next_if_eq(&'*').is_none() {
            return self.expression.push_str("[^/]*");
        }
        while self.rest.next_if_eq(&'*').is_some() {}
        if starts_component && self.rest.next_if_eq(&'/').is_some() {
            self.expression.push_str("(?:.*/)?");
        } else {
            self.expression.push_str(".*");
        }
    }

    /// Within brackets `*`, `?` and `\` stand for themselves, and `-` where it comes first.
    fn class(&mut self) -> Result<(), &'static str> {
        let open = "has a [ without its ]";
        self.expression.push_str("[[");
        if self.rest.next_if(|next| matches!(next, '!' | '^')).is_some() {
            self.expression.push('^');
        }
        let mut first = true;
        loop {
            let from = self.rest.next().ok_or(open)?;
            if from == ']' && !first {
                break;
            }
            first = false;
            self.literal(from);
            if self.rest.next_if_eq(&'-').is_some() {
                let to = self.rest.next().ok_or(open)?;
                if to == ']' {
                    self.literal('-');
                    break;
                }
                if to < from {
                    return Err("has a range in [ ] that ends before it begins");
                }
                self.expression.push('-');
                self.literal(to);
            }
        }
        // No name between slashes has a slash: also not where a range would reach it.
        self.expression.push_str("]&&[^/]]");
        Ok(())
    }

    fn literal(&mut self, character: char) {
        let mut buffer = [0; 4];
        self.expression.push_str(&regex::escape(character.encode_utf8(&mut buffer)));
    }
}
