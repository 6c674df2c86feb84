//! Short ways to write declarations.

use kplan_model::{
    Address, Declaration, Declarations, Group, Kind, Object, Origin, Ref, RolloutOrder, Value,
};

/// An address from its text; one that cannot be read becomes `invalid.NAME`.
fn address(text: &str) -> Address {
    text.parse()
        .unwrap_or_else(|_| Address::new(Kind::new("invalid"), text))
}

/// A declaration without arguments.
pub fn decl(text: &str) -> Declaration {
    Declaration::new(address(text), Object::new(), Origin::Default)
}

/// Declarations.
pub fn declare(resources: impl IntoIterator<Item = Declaration>) -> Declarations {
    Declarations {
        resources: resources.into_iter().collect(),
        ..Declarations::default()
    }
}

/// A reference: `net.main` and `id`.
pub fn reference(target: &str, attribute: &str) -> Value {
    Value::reference(Ref::new(address(target), attribute))
}

/// Text.
pub fn text(value: &str) -> Value {
    Value::str(value)
}

/// A number.
pub fn int(value: i64) -> Value {
    Value::Int(value)
}

/// A list.
pub fn list(items: impl IntoIterator<Item = Value>) -> Value {
    Value::List(items.into_iter().collect())
}

/// A map.
pub fn map<const N: usize>(items: [(&str, Value); N]) -> Value {
    Value::Map(
        items
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

/// Adds to a declaration.
pub trait Build: Sized {
    /// An argument.
    #[must_use]
    fn with(self, name: &str, value: Value) -> Self;
    /// What it comes after.
    #[must_use]
    fn after(self, other: &str) -> Self;
    /// What it lives inside.
    #[must_use]
    fn inside(self, container: &str) -> Self;
    /// Its group.
    #[must_use]
    fn group(self, name: &str, min_ready: u32, max_parallel: u32) -> Self;
    /// Protected.
    #[must_use]
    fn protected(self) -> Self;
    /// Kept by `destroy`.
    #[must_use]
    fn kept(self) -> Self;
}

impl Build for Declaration {
    fn with(mut self, name: &str, value: Value) -> Self {
        self.args.insert(name.to_owned(), value);
        self
    }

    fn after(mut self, other: &str) -> Self {
        self.meta.after.push(address(other));
        self
    }

    fn inside(mut self, container: &str) -> Self {
        self.meta.inside = Some(address(container));
        self
    }

    fn group(mut self, name: &str, min_ready: u32, max_parallel: u32) -> Self {
        self.meta.group = Some(Group {
            name: name.to_owned(),
            min_ready,
            max_parallel,
            order: RolloutOrder::Address,
        });
        self
    }

    fn protected(mut self) -> Self {
        self.meta.protect = true;
        self
    }

    fn kept(mut self) -> Self {
        self.meta.keep = true;
        self
    }
}
