//! The C ABI between Fathom and the Rust crates that own text: tokenizers, chat templates and
//! constraints.
//! `bridge.h` beside this crate declares the same functions and says who owns what.

mod chat_template;
mod constraint;
mod export;
mod ffi;
mod gguf;
mod grammar_size;
mod pre_tokenizers;
mod python;
mod spelling;
mod tokenizer;

use chat_template::{ChatTemplate, Input};
use constraint::Kind;
use ffi::{guard, report, Ids, Slice, Text};
use gguf::Vocabulary;
use llguidance::Matcher;
use tokenizer::{Table, TextTokenizer};

/// # Safety
/// Slices must be readable and `error` writable.
#[no_mangle]
pub unsafe extern "C" fn fathom_tokenizer_from_json(
    tokenizer: Slice,
    config: Slice,
    error: *mut Text,
) -> *mut TextTokenizer {
    let made = guard(|| TextTokenizer::from_json(tokenizer.bytes(), config.bytes()));
    report(made, error).map_or(std::ptr::null_mut(), |made| Box::into_raw(Box::new(made)))
}

/// # Safety
/// `vocabulary` and all it points to must be readable, `error` writable.
#[no_mangle]
pub unsafe extern "C" fn fathom_tokenizer_from_vocabulary(
    vocabulary: *const gguf::RawVocabulary,
    error: *mut Text,
) -> *mut TextTokenizer {
    let made = guard(|| gguf::tokenizer(Vocabulary::borrow(&*vocabulary)?));
    report(made, error).map_or(std::ptr::null_mut(), |made| Box::into_raw(Box::new(made)))
}

/// # Safety
/// `tokenizer` must come from this crate and not be used again.
#[no_mangle]
pub unsafe extern "C" fn fathom_tokenizer_free(tokenizer: *mut TextTokenizer) {
    if !tokenizer.is_null() {
        drop(Box::from_raw(tokenizer));
    }
}

/// # Safety
/// `tokenizer` must be alive.
#[no_mangle]
pub unsafe extern "C" fn fathom_tokenizer_table(tokenizer: *const TextTokenizer) -> Table {
    (*tokenizer).table()
}

/// # Safety
/// `tokenizer` must be alive, `text` readable, `ids` and `error` writable.
#[no_mangle]
pub unsafe extern "C" fn fathom_tokenizer_encode(
    tokenizer: *const TextTokenizer,
    text: Slice,
    parse_special: bool,
    add_special_tokens: bool,
    ids: *mut Ids,
    error: *mut Text,
) -> bool {
    let encoded = guard(|| (*tokenizer).encode(text.utf8()?, parse_special, add_special_tokens));
    report(encoded, error).is_some_and(|encoded| {
        ids.write(Ids::new(encoded));
        true
    })
}

/// # Safety
/// `tokenizer` must be alive.
#[no_mangle]
pub unsafe extern "C" fn fathom_tokenizer_piece(tokenizer: *const TextTokenizer, id: i32) -> Text {
    let piece = u32::try_from(id).ok().and_then(|id| (*tokenizer).piece(id));
    Text::new(piece.unwrap_or_default())
}

/// # Safety
/// `tokenizer` must be alive and `piece` readable.
#[no_mangle]
pub unsafe extern "C" fn fathom_tokenizer_id(tokenizer: *const TextTokenizer, piece: Slice) -> i64 {
    let id = piece.utf8().ok().and_then(|piece| (*tokenizer).id(piece));
    id.map_or(-1, i64::from)
}

/// # Safety
/// `tokenizer` must be alive, `text` and `error` writable.
#[no_mangle]
pub unsafe extern "C" fn fathom_tokenizer_export(
    tokenizer: *const TextTokenizer,
    gguf: bool,
    text: *mut Text,
    error: *mut Text,
) -> bool {
    let exported =
        guard(|| if gguf { export::to_gguf(&*tokenizer) } else { export::to_json(&*tokenizer) });
    report(exported, error).is_some_and(|exported| {
        text.write(Text::new(exported));
        true
    })
}

/// # Safety
/// `source` must be readable and `error` writable.
#[no_mangle]
pub unsafe extern "C" fn fathom_template_make(
    source: Slice,
    error: *mut Text,
) -> *mut ChatTemplate {
    let made = guard(|| ChatTemplate::new(source.utf8()?));
    report(made, error).map_or(std::ptr::null_mut(), |made| Box::into_raw(Box::new(made)))
}

/// # Safety
/// `chat_template` must come from this crate and not be used again.
#[no_mangle]
pub unsafe extern "C" fn fathom_template_free(chat_template: *mut ChatTemplate) {
    if !chat_template.is_null() {
        drop(Box::from_raw(chat_template));
    }
}

/// # Safety
/// `chat_template` and `tokenizer` must be alive (`tokenizer` may be null), slices readable, `text` and `error` writable.
#[no_mangle]
pub unsafe extern "C" fn fathom_template_render(
    chat_template: *const ChatTemplate,
    messages: Slice,
    tools: Slice,
    add_generation_prompt: bool,
    bos: Slice,
    eos: Slice,
    extra: Slice,
    tokenizer: *const TextTokenizer,
    text: *mut Text,
    error: *mut Text,
) -> bool {
    let rendered = guard(|| {
        (*chat_template).render(Input {
            messages: messages.utf8()?,
            tools: tools.utf8()?,
            add_generation_prompt,
            bos: bos.utf8()?,
            eos: eos.utf8()?,
            extra: extra.utf8()?,
            tokenizer: tokenizer.as_ref(),
        })
    });
    report(rendered, error).is_some_and(|rendered| {
        text.write(Text::new(rendered));
        true
    })
}

/// # Safety
/// `text` must come from this crate and not be used again.
#[no_mangle]
pub unsafe extern "C" fn fathom_text_free(text: Text) {
    text.free();
}

/// # Safety
/// `ids` must come from this crate and not be used again.
#[no_mangle]
pub unsafe extern "C" fn fathom_ids_free(ids: Ids) {
    ids.free();
}

/// # Safety
/// `tokenizer` must be alive, `ends` readable for `end_count` ids, and `error` writable.
#[no_mangle]
pub unsafe extern "C" fn fathom_constraints_make(
    tokenizer: *const TextTokenizer,
    vocab_size: usize,
    ends: *const u32,
    end_count: usize,
    error: *mut Text,
) -> *mut constraint::Vocabulary {
    let ends = ffi::slice(ends, end_count);
    let made = guard(|| constraint::Vocabulary::new(&*tokenizer, vocab_size, ends));
    report(made, error).map_or(std::ptr::null_mut(), |made| Box::into_raw(Box::new(made)))
}

/// # Safety
/// `vocabulary` must come from this crate and not be used again.
#[no_mangle]
pub unsafe extern "C" fn fathom_constraints_free(vocabulary: *mut constraint::Vocabulary) {
    if !vocabulary.is_null() {
        drop(Box::from_raw(vocabulary));
    }
}

/// # Safety
/// `vocabulary` must be alive, `source` readable, `busy` and `error` writable.
#[no_mangle]
pub unsafe extern "C" fn fathom_matcher_make(
    vocabulary: *const constraint::Vocabulary,
    kind: u32,
    source: Slice,
    busy: *mut bool,
    error: *mut Text,
) -> *mut Matcher {
    let made = guard(|| {
        (*vocabulary).compile(Kind::from_number(kind)?, source.utf8()?).map_err(|failure| {
            *busy = failure.busy;
            failure.text
        })
    });
    report(made, error).map_or(std::ptr::null_mut(), |made| Box::into_raw(Box::new(made)))
}

/// # Safety
/// `matcher` must be alive, and nobody use it meanwhile.
#[no_mangle]
pub unsafe extern "C" fn fathom_matcher_clone(matcher: *const Matcher) -> *mut Matcher {
    Box::into_raw(Box::new((*matcher).clone()))
}

/// # Safety
/// `matcher` must come from this crate and not be used again.
#[no_mangle]
pub unsafe extern "C" fn fathom_matcher_free(matcher: *mut Matcher) {
    if !matcher.is_null() {
        drop(Box::from_raw(matcher));
    }
}

/// # Safety
/// `matcher` must be alive, `words` and `error` writable.
#[no_mangle]
pub unsafe extern "C" fn fathom_matcher_mask(
    matcher: *mut Matcher,
    words: *mut u32,
    word_count: usize,
    error: *mut Text,
) -> bool {
    let words = std::slice::from_raw_parts_mut(words, word_count);
    report(guard(|| constraint::mask(&mut *matcher, words)), error).is_some()
}

/// # Safety
/// `matcher` must be alive, `stopped` and `error` writable.
#[no_mangle]
pub unsafe extern "C" fn fathom_matcher_accept(
    matcher: *mut Matcher,
    token: i32,
    stopped: *mut bool,
    error: *mut Text,
) -> bool {
    let accepted = guard(|| {
        let token = u32::try_from(token).map_err(|_| format!("{token} is no token"))?;
        constraint::accept(&mut *matcher, &[token])
    });
    finish_step(matcher, accepted, stopped, error)
}

/// # Safety
/// As for `fathom_matcher_accept`; `vocabulary` must be alive and `text` readable.
#[no_mangle]
pub unsafe extern "C" fn fathom_matcher_accept_text(
    vocabulary: *const constraint::Vocabulary,
    matcher: *mut Matcher,
    text: Slice,
    stopped: *mut bool,
    error: *mut Text,
) -> bool {
    let accepted = guard(|| constraint::accept(&mut *matcher, &(*vocabulary).spell(text.bytes())));
    finish_step(matcher, accepted, stopped, error)
}

unsafe fn finish_step(
    matcher: *const Matcher,
    accepted: Result<bool, String>,
    stopped: *mut bool,
    error: *mut Text,
) -> bool {
    let accepted = accepted.and_then(|accepted| {
        accepted.then_some(()).ok_or_else(|| "the grammar does not allow it".to_string())
    });
    report(accepted, error).is_some_and(|()| {
        stopped.write((*matcher).is_stopped());
        true
    })
}
