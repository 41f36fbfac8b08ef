//! The VariableCheck rule: does a variable's value hold against a given one?

use model::StringMap;

/// Why a check cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// A setting is missing.
    #[error("a VariableCheck rule needs `{0}` in its configuration")]
    Missing(&'static str),
    /// An operator that does not exist.
    #[error("`Operator` is EQ, NE, CONTAINS or MATCHES, not `{0}`")]
    Operator(String),
    /// `MATCHES` with what is no regular expression, or one with look-around or back references, which are not read.
    #[error("`Value` is no regular expression that can be used: {0}")]
    Expression(String),
}

/// `Operator`.
#[derive(Clone, Debug)]
enum Operator {
    Equals,
    NotEquals,
    Contains,
    Matches(Box<regex::Regex>),
}

/// A check, its variables resolved.
#[derive(Clone, Debug)]
pub struct Check {
    variable: String,
    value: String,
    operator: Operator,
}

impl Check {
    /// Reads a rule's resolved configuration: `Variable`, `Value`, `Operator`.
    ///
    /// # Errors
    /// A setting that is missing or makes no sense.
    pub fn parse(configuration: &StringMap) -> Result<Self, CheckError> {
        let setting = |key| configuration.get(key).cloned().ok_or(CheckError::Missing(key));
        let (variable, value) = (setting("Variable")?, setting("Value")?);
        let operator = match setting("Operator")?.as_str() {
            "EQ" => Operator::Equals,
            "NE" => Operator::NotEquals,
            "CONTAINS" => Operator::Contains,
            "MATCHES" => Operator::Matches(Box::new(whole(&value)?)),
            other => return Err(CheckError::Operator(other.into())),
        };
        Ok(Self { variable, value, operator })
    }

    /// Whether the rule succeeds.
    pub fn holds(&self) -> bool {
        match &self.operator {
            Operator::Equals => self.variable == self.value,
            Operator::NotEquals => self.variable != self.value,
            Operator::Contains => self.variable.contains(&self.value),
            Operator::Matches(expression) => expression.is_match(&self.variable),
        }
    }

    /// What was compared, for people.
    pub fn summary(&self) -> String {
        let (operator, not) = match &self.operator {
            Operator::Equals => ("equal to", "not equal to"),
            Operator::NotEquals => ("different from", "equal to"),
            Operator::Contains => ("containing", "without"),
            Operator::Matches(_) => ("matching", "not matching"),
        };
        let how = if self.holds() { operator } else { not };
        format!("the variable's value `{}` is {how} `{}`", cut(&self.variable), cut(&self.value))
    }
}

/// As much of a value as a summary shows.
fn cut(value: &str) -> String {
    const SHOWN: usize = 100;
    let mut cut: String = value.chars().take(SHOWN).collect();
    if cut.len() < value.len() {
        cut.push('…');
    }
    cut
}

/// The whole value must match, as with Java's `matches`; a dot matches no line break, as there.
fn whole(expression: &str) -> Result<regex::Regex, CheckError> {
    // Compiled by itself first, so that `a)|(b` does not escape the group around it.
    let alone = regex::Regex::new(expression);
    let whole = alone.and_then(|_| regex::Regex::new(&format!(r"\A(?:{expression}{})\z", line_end(expression))));
    whole.map_err(|error| CheckError::Expression(error.to_string()))
}

/// A comment at the end of an expression with the flag `x` would hide what stands behind it.
fn line_end(expression: &str) -> &'static str {
    if expression.contains("(?") && expression.contains('#') { "\n" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variable: &str, operator: &str, value: &str) -> Result<bool, CheckError> {
        let settings = [("Variable", variable), ("Operator", operator), ("Value", value)];
        Check::parse(&settings.map(|(key, value)| (key.into(), value.into())).into()).map(|check| check.holds())
    }

    #[test]
    fn each_operator_compares_as_documented() {
        for (variable, operator, value, holds) in [
            ("MyDemoRepo", "EQ", "MyDemoRepo", true),
            ("MyDemoRepo", "EQ", "mydemorepo", false),
            ("MyDemoRepo ", "EQ", "MyDemoRepo", false),
            ("", "EQ", "", true),
            ("a", "NE", "b", true),
            ("a", "NE", "a", false),
            ("please update it", "CONTAINS", "update", true),
            ("please", "CONTAINS", "update", false),
            ("please", "CONTAINS", "", true),
            ("a.c", "CONTAINS", ".", true),
            ("abc", "CONTAINS", ".", false),
            ("release/1.2", "MATCHES", r"release/\d+\.\d+", true),
            ("xrelease/1.2", "MATCHES", r"release/\d+\.\d+", false),
            ("release/1.2x", "MATCHES", r"release/\d+\.\d+", false),
            ("ab", "MATCHES", "a|ab", true),
            ("abc", "MATCHES", "a|ab", false),
            ("two\nlines", "MATCHES", ".*", false),
            ("two\nlines", "MATCHES", "(?s).*", true),
            ("ab", "MATCHES", "(?x) a b # both", true),
            ("", "MATCHES", "", true),
        ] {
            assert_eq!(check(variable, operator, value), Ok(holds), "{variable:?} {operator} {value:?}");
        }
    }

    #[test]
    fn what_cannot_be_checked_is_an_error() {
        assert_eq!(check("a", "GT", "b"), Err(CheckError::Operator("GT".into())));
        for expression in ["(", "a)|(b", "(?=look)", r"(a)\1"] {
            assert!(matches!(check("a", "MATCHES", expression), Err(CheckError::Expression(_))), "{expression}");
        }
        let missing = Check::parse(&StringMap::from([("Variable".into(), "a".into())])).unwrap_err();
        assert_eq!(missing, CheckError::Missing("Value"));
    }

    #[test]
    fn the_summary_says_how_it_came_out() {
        let settings = [("Variable", "a"), ("Operator", "EQ"), ("Value", "b")];
        let check = Check::parse(&settings.map(|(k, v)| (k.into(), v.into())).into()).unwrap();
        assert_eq!(check.summary(), "the variable's value `a` is not equal to `b`");
    }
}
