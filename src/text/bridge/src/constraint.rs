//! Which tokens may come next, so that a text obeys a grammar: the `llguidance` crate over the
//! vocabulary of one tokenizer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use llguidance::api::TopLevelGrammar;
use llguidance::earley::SlicedBiasComputer;
use llguidance::{Matcher, ParserFactory};
use serde_json::Value;
use toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie};

use crate::grammar_size;
use crate::tokenizer::TextTokenizer;

/// Longer sources are no grammar that somebody wrote.
const MAX_SOURCE_BYTES: usize = 1 << 20;
/// What takes longer steps back, so that others' answers go on at their speed,
const PROMPT_COMPILE_TIME: Duration = Duration::from_millis(100);
const SLOW_NICENESS: libc::c_int = 5;
/// and what still takes longer is given up: its thread goes on to the end when nobody else wants the
/// processor, but not many of them.
const MAX_COMPILE_TIME: Duration = Duration::from_secs(10);
const LEAST_NICENESS: libc::c_int = 19;
const MAX_COMPILERS: usize = 8;
/// Reading a grammar is recursive. Only what is used of a stack takes memory.
const COMPILER_STACK_BYTES: usize = 256 << 20;
/// The trie cannot hold longer tokens. No vocabulary has them for a reason.
const MAX_TOKEN_BYTES: usize = 1000;
/// One run of white space between two parts of a JSON document: room for a deep indentation, yet a
/// model that has nothing to say cannot fill its answer with it.
const JSON_WHITE_SPACE: &str = r"[\x20\x0A\x0D\x09]{1,40}";

pub enum Kind {
    JsonObject,
    JsonSchema,
    Regex,
    Grammar,
}

impl Kind {
    /// By the number that `bridge.h` gives it.
    pub fn from_number(number: u32) -> Result<Self, String> {
        match number {
            0 => Ok(Kind::JsonObject),
            1 => Ok(Kind::JsonSchema),
            2 => Ok(Kind::Regex),
            3 => Ok(Kind::Grammar),
            _ => Err(format!("{number} is no kind of constraint")),
        }
    }
}

/// Why a source was not compiled.
pub struct Failure {
    pub text: String,
    /// It is not the source's fault; later it may go.
    pub busy: bool,
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Failure { text, busy: false }
    }
}

impl Failure {
    fn busy(text: &str) -> Self {
        Failure { text: text.to_string(), busy: true }
    }
}

/// One of the compilers that may run, until it is dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(compilers: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Place(compilers.clone());
        (compilers.fetch_add(1, Ordering::Relaxed) < MAX_COMPILERS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The vocabulary as a trie of bytes: made once for each tokenizer.
pub struct Vocabulary {
    factory: Arc<ParserFactory>,
    /// Compilers that run, those among them that nobody waits for any more.
    compilers: Arc<AtomicUsize>,
}

impl Vocabulary {
    /// `size`: of the model's vocabulary, whose last tokens may mean nothing. `ends`: any of them
    /// ends a text.
    pub fn new(tokenizer: &TextTokenizer, size: usize, ends: &[u32]) -> Result<Self, String> {
        let mut words = vec![Vec::new(); size];
        for (id, (bytes, special)) in tokenizer.words().enumerate().take(size) {
            // The trie marks special tokens with a byte that no text has; a token that begins with
            // this byte can be part of no text either.
            if special {
                words[id].push(TokTrie::SPECIAL_TOKEN_MARKER);
            } else if bytes.first() == Some(&TokTrie::SPECIAL_TOKEN_MARKER) {
                continue;
            }
            if bytes.len() < MAX_TOKEN_BYTES {
                words[id].extend_from_slice(bytes);
            }
        }
        let ends: Vec<u32> = ends.iter().copied().filter(|&id| (id as usize) < size).collect();
        let first_end = ends.first().copied().unwrap_or(toktrie::INVALID_TOKEN);
        let mut trie = TokTrie::from(&TokRxInfo::new(size as u32, first_end), &words);
        if !ends.is_empty() {
            trie = trie.with_eos_tokens(&ends);
        }
        let tokens: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let mut factory = ParserFactory::new(
            &tokens,
            InferenceCapabilities::default(),
            &SlicedBiasComputer::general_slices(),
        )
        .map_err(|error| error.to_string())?;
        factory.quiet();
        let limits = factory.limits_mut();
        limits.verbose_errors = false;
        // A fifth of the crate's own: some large expressions take seconds for that much.
        limits.initial_lexer_fuel = 200_000;
        limits.step_lexer_fuel = 100_000;
        // Each may take two kilobytes.
        limits.max_lexer_states = 50_000;
        Ok(Vocabulary { factory: Arc::new(factory), compilers: Arc::default() })
    }

    pub fn compile(&self, kind: Kind, source: &str) -> Result<Matcher, Failure> {
        if source.len() > MAX_SOURCE_BYTES {
            let bytes = source.len();
            return Err(format!("it has {bytes} bytes, more than {MAX_SOURCE_BYTES}").into());
        }
        let Some(place) = Place::take(&self.compilers) else {
            return Err(Failure::busy("others that are hard to compile keep the machine busy"));
        };
        let (sender, receiver) = std::sync::mpsc::channel();
        let (number_sender, number) = std::sync::mpsc::channel();
        let factory = self.factory.clone();
        let source = source.to_string();
        std::thread::Builder::new()
            .stack_size(COMPILER_STACK_BYTES)
            .spawn(move || {
                // SAFETY: it only asks.
                let _ = number_sender.send(unsafe { libc::gettid() });
                let made = crate::ffi::guard(|| compile_here(&factory, kind, &source));
                drop(place);
                // Nobody listens if it took too long.
                let _ = sender.send(made);
            })
            .map_err(|error| Failure::busy(&format!("no thread to compile it: {error}")))?;
        let number = number.recv().ok();
        if let Ok(made) = receiver.recv_timeout(PROMPT_COMPILE_TIME) {
            return made.map_err(Failure::from);
        }
        step_back(number, SLOW_NICENESS);
        receiver.recv_timeout(MAX_COMPILE_TIME - PROMPT_COMPILE_TIME).map_or_else(
            |_| {
                step_back(number, LEAST_NICENESS);
                Err("it takes too long to compile".to_string().into())
            },
            |made| made.map_err(Failure::from),
        )
    }

    /// Tokens that spell `text`, if not as the model would choose them.
    pub fn spell(&self, text: &[u8]) -> Vec<u32> {
        self.factory.tok_env().tok_trie().greedy_tokenize(text)
    }
}

fn step_back(thread: Option<libc::pid_t>, niceness: libc::c_int) {
    if let Some(thread) = thread {
        // SAFETY: no memory is touched. Linux takes a thread's number here; were it gone by now,
        // nothing would happen.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, thread as libc::id_t, niceness) };
    }
}

fn compile_here(factory: &ParserFactory, kind: Kind, source: &str) -> Result<Matcher, String> {
    let grammar = match kind {
        Kind::JsonObject => {
            TopLevelGrammar::from_json_schema(spaced(serde_json::json!({"type": "object"})))
        }
        Kind::JsonSchema => {
            let schema = serde_json::from_str(source)
                .map_err(|error| format!("it is not valid JSON: {error}"))?;
            grammar_size::check_schema(&schema)?;
            TopLevelGrammar::from_json_schema(spaced(schema))
        }
        Kind::Regex => {
            grammar_size::check_expression(source)?;
            TopLevelGrammar::from_regex(source)
        }
        Kind::Grammar => {
            grammar_size::check_grammar(source)?;
            TopLevelGrammar::from_lark(source.to_string())
        }
    };
    let parser = factory.create_parser(grammar).map_err(|error| format!("{error:#}"))?;
    let matcher = Matcher::new(Ok(parser));
    if let Some(error) = matcher.get_error() {
        return Err(plain(error));
    }
    // Some that compile fail at their first token. What this learns also serves the answers.
    matcher.clone().compute_mask_or_eos().map_err(|error| plain(error.to_string()))?;
    Ok(matcher)
}

/// Sets what may stand between the parts of a document, unless the schema says so itself.
fn spaced(mut schema: Value) -> Value {
    const OPTIONS: &str = "x-guidance";
    if let Some(fields) = schema.as_object_mut() {
        fields
            .entry(OPTIONS)
            .or_insert_with(|| serde_json::json!({"whitespace_pattern": JSON_WHITE_SPACE}));
    }
    schema
}

fn plain(error: String) -> String {
    error.split("\n<").next().unwrap_or_default().trim().to_string()
}

/// Writes the tokens that may come next as bits, the first token in the lowest bit of the first
/// word. A finished text may only end.
pub fn mask(matcher: &mut Matcher, words: &mut [u32]) -> Result<(), String> {
    let allowed = matcher.compute_mask_or_eos().map_err(|error| plain(error.to_string()))?;
    let allowed = allowed.as_slice();
    let count = words.len().min(allowed.len());
    words[..count].copy_from_slice(&allowed[..count]);
    words[count..].fill(0);
    Ok(())
}

/// Moves on by tokens; false if the grammar does not allow them.
pub fn accept(matcher: &mut Matcher, tokens: &[u32]) -> Result<bool, String> {
    let accepted = matcher.try_consume_tokens(tokens).map_err(|error| plain(error.to_string()))?;
    Ok(accepted == tokens.len())
}
