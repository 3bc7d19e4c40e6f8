//! The C ABI between Fathom and the Rust crates that own text: tokenizers and chat templates.
