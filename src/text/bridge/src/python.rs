//! Where templates can see that transformers runs them in Python: how values are printed, what
//! json.dumps writes, and string methods. The minijinja crates cover the rest.

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

/// Deeper values than this are an attack, not a conversation.
const MAX_DEPTH: usize = 200;

/// What `str(value)` gives.
pub fn to_text(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_string()),
        None => {
            let mut text = String::new();
            write_repr(value, &mut text, 0)?;
            Ok(text)
        }
    }
}

fn too_deep() -> Error {
    Error::new(ErrorKind::InvalidOperation, "a value is nested too deeply")
}

fn write_repr(value: &Value, out: &mut String, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    match value.kind() {
        ValueKind::Undefined => {}
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number => out.push_str(&number(value, ["inf", "-inf", "nan"])),
        ValueKind::String => quote(value.as_str().unwrap_or_default(), out),
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            for (index, item) in value.try_iter()?.enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_repr(&item, out, depth + 1)?;
            }
            out.push(']');
        }
        ValueKind::Map => {
            out.push('{');
            for (index, key) in value.try_iter()?.enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_repr(&key, out, depth + 1)?;
                out.push_str(": ");
                write_repr(&value.get_item(&key)?, out, depth + 1)?;
            }
            out.push('}');
        }
        _ => out.push_str(&value.to_string()),
    }
    Ok(())
}

/// Python's repr of a string.
fn quote(text: &str, out: &mut String) {
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(mark);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if character == mark => out.extend(['\\', mark]),
            _ if character.is_control() => out.push_str(&format!("\\x{:02x}", character as u32)),
            _ => out.push(character),
        }
    }
    out.push(mark);
}

/// Python's repr of a number; `not_finite` is how infinities and NaN are spelt.
fn number(value: &Value, not_finite: [&str; 3]) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    let Ok(number) = f64::try_from(value.clone()) else {
        return value.to_string();
    };
    if !number.is_finite() {
        let index = if number.is_nan() { 2 } else { usize::from(number < 0.0) };
        return not_finite[index].to_string();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    } else {
        format!("{number:?}")
    }
}

/// The `tojson` filter as transformers defines it: json.dumps(ensure_ascii=False), not HTML-safe.
pub fn to_json(value: &Value, indent: Option<Value>, options: Kwargs) -> Result<String, Error> {
    let ascii = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let indent = match indent {
        Some(indent) => Some(indent),
        None => options.get::<Option<Value>>("indent")?,
    };
    let indent = indent.filter(|indent| !indent.is_none()).map(|indent| match indent.as_str() {
        Some(text) => text.to_string(),
        None => " ".repeat(usize::try_from(indent).unwrap_or(0).min(64)),
    });
    let (mut item, mut key) =
        (if indent.is_some() { "," } else { ", " }.to_string(), ": ".to_string());
    if let Some(separators) = options.get::<Option<Value>>("separators")? {
        if !separators.is_none() {
            item = to_text(&separators.get_item_by_index(0)?)?;
            key = to_text(&separators.get_item_by_index(1)?)?;
        }
    }
    let sort_keys = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    options.assert_all_used()?;
    let mut json = Json { out: String::new(), ascii, indent, item, key, sort_keys };
    json.write(value, 0)?;
    Ok(json.out)
}

struct Json {
    out: String,
    ascii: bool,
    indent: Option<String>,
    item: String,
    key: String,
    sort_keys: bool,
}

impl Json {
    fn write(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self.out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => {
                self.out.push_str(&number(value, ["Infinity", "-Infinity", "NaN"]));
            }
            ValueKind::String => self.string(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.nested(['[', ']'], &items, depth, |json, item| json.write(item, depth + 1))?;
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sort_keys {
                    keys.sort();
                }
                self.nested(['{', '}'], &keys, depth, |json, key| {
                    json.string(&to_text(key)?);
                    json.out.push_str(&json.key.clone());
                    json.write(&value.get_item(key)?, depth + 1)
                })?;
            }
            kind => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("a value of type {kind} cannot be written as JSON"),
                ))
            }
        }
        Ok(())
    }

    fn nested(
        &mut self,
        [open, close]: [char; 2],
        items: &[Value],
        depth: usize,
        mut write: impl FnMut(&mut Self, &Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.out.push(open);
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push_str(&self.item.clone());
            }
            self.line(depth + 1);
            write(self, item)?;
        }
        if !items.is_empty() {
            self.line(depth);
        }
        self.out.push(close);
        Ok(())
    }

    fn line(&mut self, depth: usize) {
        if let Some(indent) = &self.indent {
            self.out.push('\n');
            self.out.push_str(&indent.repeat(depth));
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for character in text.chars() {
            match character {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                _ if character < ' ' || (self.ascii && !character.is_ascii()) => {
                    let mut units = [0; 2];
                    for unit in character.encode_utf16(&mut units) {
                        self.out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                _ => self.out.push(character),
            }
        }
        self.out.push('"');
    }
}

/// str.isspace of one character: Unicode's white space and the four separators 0x1C to 0x1F.
fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

pub fn trim(text: &str, characters: Option<&str>, start: bool, end: bool) -> String {
    let drop = |character: char| match characters {
        Some(characters) => characters.contains(character),
        None => is_space(character),
    };
    let mut text = text;
    if start {
        text = text.trim_start_matches(drop);
    }
    if end {
        text = text.trim_end_matches(drop);
    }
    text.to_string()
}

/// Methods of strings where the crate's own differ from Python's or are missing.
pub fn method(state: &State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        let argument = || args.first().filter(|value| !value.is_none()).and_then(Value::as_str);
        match name {
            "strip" | "lstrip" | "rstrip" if args.len() <= 1 => {
                return Ok(trim(text, argument(), name != "rstrip", name != "lstrip").into());
            }
            "removeprefix" | "removesuffix" if args.len() == 1 => {
                let part = argument().unwrap_or_default();
                let rest = if name == "removeprefix" {
                    text.strip_prefix(part)
                } else {
                    text.strip_suffix(part)
                };
                return Ok(rest.unwrap_or(text).into());
            }
            "isalnum" | "isalpha" | "isdigit" | "islower" | "isnumeric" | "isspace" | "isupper"
                if text.is_empty() =>
            {
                return Ok(false.into());
            }
            _ => {}
        }
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args)
}
