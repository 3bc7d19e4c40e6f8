//! A chat template: Jinja as transformers' apply_chat_template sets it up, with limits, since a
//! template comes with the model and may be hostile.

use std::collections::BTreeMap;
use std::fmt;
use std::thread;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};

use crate::python;
use crate::tokenizer::TextTokenizer;

/// Instructions a template may run: a base, and more for longer conversations.
const FUEL: u64 = 1_000_000;
const FUEL_PER_BYTE: u64 = 20;
/// Values nested by a loop until the fuel ends must not overflow the stack when they are dropped.
const STACK: usize = 256 << 20;
const NAME: &str = "chat_template";

pub struct Input<'a> {
    pub messages: &'a str,
    pub tools: &'a str,
    pub add_generation_prompt: bool,
    pub bos: &'a str,
    pub eos: &'a str,
    pub extra: &'a str,
    /// Whose special tokens to quote where messages spell them out.
    pub tokenizer: Option<&'a TextTokenizer>,
}

pub struct ChatTemplate {
    environment: Environment<'static>,
}

/// What the template said in raise_exception.
#[derive(Debug)]
struct Raised(String);

impl fmt::Display for Raised {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

impl ChatTemplate {
    pub fn new(source: &str) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_unknown_method_callback(python::method);
        environment.set_formatter(|out, _, value| {
            out.write_str(&python::to_text(value)?).map_err(Error::from)
        });
        environment.add_filter(
            "tojson",
            |value: &Value, indent: Option<Value>, options: Kwargs| {
                python::to_json(value, indent, options)
            },
        );
        environment.add_filter("string", |value: &Value| python::to_text(value));
        environment.add_filter("trim", |value: &Value, characters: Option<&str>| {
            Ok::<_, Error>(python::trim(&python::to_text(value)?, characters, true, true))
        });
        // Python's strings are sequences too, and its undefined values iterate as empty.
        environment.add_test("sequence", |value: &Value| {
            matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map)
        });
        environment.add_test("iterable", |value: &Value| {
            value.try_iter().is_ok() || value.as_str().is_some()
        });
        environment.add_function("raise_exception", |message: &Value| -> Result<Value, Error> {
            let message = python::to_text(message)?;
            Err(Error::new(ErrorKind::InvalidOperation, "raise_exception")
                .with_source(Raised(message)))
        });
        environment.add_function("strftime_now", |format: &str| strftime_now(format));
        let source = without_generation_tags(source);
        environment
            .add_template_owned(NAME, source)
            .map_err(|error| format!("the chat template is not valid Jinja: {}", say(&error)))?;
        Ok(ChatTemplate { environment })
    }

    pub fn render(&self, input: Input) -> Result<String, String> {
        let json = |text: &str, what: &str| -> Result<Value, String> {
            let mut value: serde_json::Value = serde_json::from_str(text)
                .map_err(|error| format!("the {what} are not valid JSON: {error}"))?;
            if let Some(tokenizer) = input.tokenizer {
                quote_strings(&mut value, tokenizer);
            }
            Ok(Value::from_serialize(value))
        };
        let optional = |text: &str, what: &str| {
            if text.is_empty() {
                Ok(Value::from(()))
            } else {
                json(text, what)
            }
        };
        let fixed = [
            ("messages", json(input.messages, "messages")?),
            ("tools", optional(input.tools, "tools")?),
            ("documents", Value::from(())),
            ("add_generation_prompt", input.add_generation_prompt.into()),
            ("bos_token", input.bos.into()),
            ("eos_token", input.eos.into()),
        ];
        let extra = optional(input.extra, "extra variables")?;
        let mut variables: BTreeMap<String, Value> =
            fixed.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        if !extra.is_none() {
            if extra.kind() != ValueKind::Map {
                return Err("the extra variables are not a JSON object".to_string());
            }
            for name in extra.try_iter().map_err(|error| say(&error))? {
                let value = extra.get_item(&name).map_err(|error| say(&error))?;
                variables.insert(name.to_string(), value);
            }
        }
        let bytes = input.messages.len() + input.tools.len() + input.extra.len();
        let fuel = FUEL + FUEL_PER_BYTE * bytes as u64;
        self.render_on_own_stack(variables.into(), fuel)
    }

    fn render_on_own_stack(&self, context: Value, fuel: u64) -> Result<String, String> {
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(fuel));
        thread::scope(|scope| {
            let render = move || {
                crate::ffi::guard(|| {
                    let template = environment.get_template(NAME).map_err(|error| say(&error))?;
                    template.render(context).map_err(|error| say(&error))
                })
            };
            thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, render)
                .map_err(|error| format!("no thread for the chat template: {error}"))?
                .join()
                .unwrap_or_else(|_| Err("the chat template failed".to_string()))
        })
    }
}

/// The template's own words where it raised an exception, else what is wrong and in which line.
fn say(error: &Error) -> String {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut innermost = error;
    while let Some(current) = source {
        if let Some(Raised(message)) = current.downcast_ref() {
            return message.clone();
        }
        innermost = current.downcast_ref().unwrap_or(innermost);
        source = current.source();
    }
    if innermost.kind() == ErrorKind::OutOfFuel {
        return "the chat template runs for too long; its loops do not end or are enormous".into();
    }
    let place = innermost.line().map(|line| format!(" (line {line})")).unwrap_or_default();
    match innermost.detail() {
        Some(detail) => format!("{}: {detail}{place}", innermost.kind()),
        None => format!("{}{place}", innermost.kind()),
    }
}

fn quote_strings(value: &mut serde_json::Value, tokenizer: &TextTokenizer) {
    match value {
        serde_json::Value::String(text) => *text = tokenizer.quote(text),
        serde_json::Value::Array(items) => {
            items.iter_mut().for_each(|item| quote_strings(item, tokenizer));
        }
        serde_json::Value::Object(entries) => {
            entries.values_mut().for_each(|item| quote_strings(item, tokenizer));
        }
        _ => {}
    }
}

/// transformers marks the assistant's text with {% generation %} blocks. They print what is inside
/// and are a scope, like {% with %}.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    let mut raw = false;
    while let Some((start, close)) = next_tag(rest) {
        let inside = &rest[start + 2..];
        let Some(length) = length_of_tag(inside, close) else { break };
        let tag = &inside[..length];
        let word = tag.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim();
        out.push_str(&rest[..start + 2]);
        rest = inside;
        if raw && (close != "%}" || word != "endraw") {
            continue; // in raw text nothing else is a tag: look again right behind the brace
        }
        raw = close == "%}" && word == "raw";
        match word {
            "generation" if close == "%}" => out.push_str(&tag.replacen(word, "with", 1)),
            "endgeneration" if close == "%}" => out.push_str(&tag.replacen(word, "endwith", 1)),
            _ => out.push_str(tag),
        }
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

/// Where the next expression, block or comment begins, and what closes it.
fn next_tag(text: &str) -> Option<(usize, &'static str)> {
    text.match_indices('{').find_map(|(start, _)| match text.as_bytes().get(start + 1) {
        Some(b'{') => Some((start, "}}")),
        Some(b'%') => Some((start, "%}")),
        Some(b'#') => Some((start, "#}")),
        _ => None,
    })
}

/// The closing mark does not count inside a string; comments have no strings.
fn length_of_tag(inside: &str, close: &str) -> Option<usize> {
    if close == "#}" {
        return inside.find(close);
    }
    let (mut quote, mut escaped) = (None, false);
    for (at, character) in inside.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            Some(_) if character == '\\' => escaped = true,
            Some(mark) if character == mark => quote = None,
            Some(_) => {}
            None if character == '"' || character == '\'' => quote = Some(character),
            None if inside[at..].starts_with(close) => return Some(at),
            None => {}
        }
    }
    None
}

/// datetime.now().strftime(format).
fn strftime_now(format: &str) -> Result<String, Error> {
    let failed =
        |what: &str| Error::new(ErrorKind::InvalidOperation, format!("strftime_now: {what}"));
    let format = std::ffi::CString::new(format).map_err(|_| failed("a zero in the format"))?;
    let mut buffer = vec![0u8; 1024];
    // SAFETY: all pointers are to live locals, and strftime writes at most the length given.
    let length = unsafe {
        let now = libc::time(std::ptr::null_mut());
        let mut parts: libc::tm = std::mem::zeroed();
        if libc::localtime_r(&now, &mut parts).is_null() {
            return Err(failed("there is no local time"));
        }
        libc::strftime(buffer.as_mut_ptr().cast(), buffer.len(), format.as_ptr(), &parts)
    };
    buffer.truncate(length);
    String::from_utf8(buffer).map_err(|_| failed("the result is not UTF-8"))
}
