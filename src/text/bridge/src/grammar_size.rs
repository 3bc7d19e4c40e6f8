//! What a schema, an expression or a grammar would cost to compile, told from its source. It refuses
//! what the limits of the `llguidance` crate let pass although it takes seconds or gigabytes.

use serde_json::Value;

/// Compiling takes time in proportion to the square of a grammar's rules, one a line,
const MAX_LINES: usize = 4_000;
/// and of an expression's length.
const MAX_EXPRESSION_BYTES: usize = 4_000;
/// An expression that must match with others, or must not, makes the product of their states. None
/// of the crate's limits counts what that takes.
const MAX_INTERSECTIONS: usize = 8;

/// What has been counted so far. All parts of a source count together: a hundred small schemas in a
/// grammar cost what one large one does.
#[derive(Default)]
struct Size {
    intersections: usize,
}

pub fn check_expression(text: &str) -> Result<(), String> {
    expression(text.len())
}

pub fn check_schema(schema: &Value) -> Result<(), String> {
    let mut size = Size::default();
    size.schema(schema, false)?;
    size.check()
}

/// A grammar may hold schemas (`%json`), and grammars that hold some (`%lark`).
pub fn check_grammar(source: &str) -> Result<(), String> {
    let lines = source.lines().count();
    if lines > MAX_LINES {
        return Err(format!("it has {lines} lines, more than {MAX_LINES}"));
    }
    let mut size = Size::default();
    size.grammar(source)?;
    size.check()
}

fn expression(bytes: usize) -> Result<(), String> {
    if bytes <= MAX_EXPRESSION_BYTES {
        return Ok(());
    }
    Err(format!("an expression of {bytes} bytes is longer than {MAX_EXPRESSION_BYTES}"))
}

impl Size {
    fn check(&self) -> Result<(), String> {
        let count = self.intersections;
        if count > MAX_INTERSECTIONS {
            return Err(format!(
                "it has {count} intersections and complements, more than {MAX_INTERSECTIONS}"
            ));
        }
        Ok(())
    }

    /// `in_all`: what stands here is put upon the same text as something else, by an `allOf`.
    fn schema(&mut self, schema: &Value, in_all: bool) -> Result<(), String> {
        match schema {
            Value::Array(list) => list.iter().try_for_each(|part| self.schema(part, in_all)),
            Value::Object(fields) => fields.iter().try_for_each(|(name, part)| {
                if (in_all && name == "pattern") || name == "not" {
                    self.intersections += 1;
                }
                if let (true, Value::String(text)) = (name == "pattern", part) {
                    expression(text.len())?;
                }
                let same_text = match name.as_str() {
                    "allOf" => true,
                    "anyOf" | "oneOf" => in_all,
                    _ => false,
                };
                self.schema(part, same_text)
            }),
            _ => Ok(()),
        }
    }

    /// Reads as the crate's lexer does. What that would not accept needs no counting.
    fn grammar(&mut self, source: &str) -> Result<(), String> {
        let mut rest = source;
        let mut line = 0;
        while let Some(character) = rest.chars().next() {
            let mut length = character.len_utf8();
            match character {
                '"' => length = quoted(rest),
                '/' if rest.starts_with("//") => length = until_line_end(rest),
                '/' => length = quoted(rest),
                '#' => length = until_line_end(rest),
                '<' => length = special_token(rest),
                '&' => self.intersections += 1,
                '~' => {
                    // Before a number it says how often something is repeated.
                    let next = rest[1..].trim_start_matches([' ', '\t']);
                    let repeats = next.starts_with(|c: char| c.is_ascii_digit());
                    self.intersections += usize::from(!repeats);
                }
                '%' => {
                    if let Some((value, bytes)) = json_of_keyword(rest) {
                        if rest.starts_with("%json") {
                            self.schema(&value, false)?;
                        }
                        rest = &rest[bytes..];
                        continue;
                    }
                }
                '\n' => {
                    expression(line)?;
                    line = 0;
                }
                _ => (),
            }
            line += length;
            rest = &rest[length..];
        }
        expression(line)
    }
}

/// The bytes of a string or an expression with its quotes; to the end of the source if it has none.
fn quoted(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            byte if byte == bytes[0] => return at + 1,
            _ => (),
        }
        at += 1;
    }
    bytes.len()
}

fn until_line_end(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

/// `<name>`, in which quotes are no quotes; else the bracket alone.
fn special_token(text: &str) -> usize {
    let end = text[1..].find(|c: char| c == '<' || c == '>' || c.is_whitespace());
    match end {
        Some(end) if end > 0 && text[1 + end..].starts_with('>') => end + 2,
        _ => 1,
    }
}

/// `%json {...}` and its like: what stands behind the keyword, and where that ends.
fn json_of_keyword(text: &str) -> Option<(Value, usize)> {
    let keyword = ["%json", "%regex", "%llguidance"].into_iter().find(|k| text.starts_with(k))?;
    let mut values = serde_json::Deserializer::from_str(&text[keyword.len()..]).into_iter();
    let value = values.next()?.ok()?;
    Some((value, keyword.len() + values.byte_offset()))
}
