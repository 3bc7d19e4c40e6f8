//! What crosses the boundary: borrowed slices in, owned texts and ids out, panics never.

use std::cell::RefCell;
use std::panic::{catch_unwind, set_hook, AssertUnwindSafe};
use std::sync::Once;

/// Bytes the C++ side owns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Slice {
    data: *const u8,
    size: usize,
}

impl Slice {
    /// # Safety
    /// `data` must be readable for `size` bytes for as long as the result is used.
    pub unsafe fn bytes<'a>(self) -> &'a [u8] {
        slice(self.data, self.size)
    }

    /// # Safety
    /// As for `bytes`.
    pub unsafe fn utf8<'a>(self) -> Result<&'a str, String> {
        std::str::from_utf8(self.bytes()).map_err(|error| format!("not UTF-8: {error}"))
    }
}

/// # Safety
/// `data` must be readable for `size` elements, or `size` be 0.
pub unsafe fn slice<'a, T>(data: *const T, size: usize) -> &'a [T] {
    if size == 0 {
        &[]
    } else {
        std::slice::from_raw_parts(data, size)
    }
}

/// A text the C++ side gives back with `fathom_text_free`.
#[repr(C)]
pub struct Text {
    data: *mut u8,
    size: usize,
}

impl Text {
    pub fn new(text: String) -> Self {
        let bytes = Box::leak(text.into_bytes().into_boxed_slice());
        Text { data: bytes.as_mut_ptr(), size: bytes.len() }
    }

    /// # Safety
    /// `self` must come from `new`, or be null.
    pub unsafe fn free(self) {
        if !self.data.is_null() {
            drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.data, self.size)));
        }
    }
}

/// Token ids the C++ side gives back with `fathom_ids_free`.
#[repr(C)]
pub struct Ids {
    data: *mut u32,
    size: usize,
}

impl Ids {
    pub fn new(ids: Vec<u32>) -> Self {
        let ids = Box::leak(ids.into_boxed_slice());
        Ids { data: ids.as_mut_ptr(), size: ids.len() }
    }

    /// # Safety
    /// `self` must come from `new`, or be null.
    pub unsafe fn free(self) {
        if !self.data.is_null() {
            drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.data, self.size)));
        }
    }
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `work`; a panic inside (a crate's assertion on input it did not expect) becomes an error,
/// and prints nothing.
pub fn guard<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        set_hook(Box::new(|info| {
            PANIC.with(|message| *message.borrow_mut() = Some(info.to_string()));
        }))
    });
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let message = PANIC.with(|message| message.borrow_mut().take());
        let message = message.unwrap_or_else(|| "no message".to_string()).replace('\n', " ");
        Err(format!("the text library failed on this input ({message})"))
    })
}

/// # Safety
/// `error` must be writable.
pub unsafe fn report<T>(result: Result<T, String>, error: *mut Text) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(message) => {
            error.write(Text::new(message));
            None
        }
    }
}
