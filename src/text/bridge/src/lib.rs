//! The C ABI between Fathom and the Rust crates that own text: tokenizers and chat templates.
//! `bridge.h` beside this crate declares the same functions and says who owns what.

mod chat_template;
mod ffi;
mod gguf;
mod pre_tokenizers;
mod python;
mod spelling;
mod tokenizer;

use chat_template::{ChatTemplate, Input};
use ffi::{guard, report, Ids, Slice, Text};
use gguf::Vocabulary;
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
