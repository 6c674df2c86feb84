//! `Text`: a short text that is cheap to copy. Names, ids and values of a state are many, short and
//! the same again and again: up to 23 bytes stand in the value itself, longer ones are shared by
//! all copies. What it is made of is named in this file alone.

/// A text of 24 bytes on the stack; the heap only beyond 23 bytes, and there once for all copies.
pub type Text = smol_str::SmolStr;

/// A text known at compile time.
pub const fn literal(text: &'static str) -> Text {
    Text::new_static(text)
}
