//! `Object`: named values, ordered by name, as compact as they can be and shared by all copies.
//! At 100,000 resources there are half a million of them; a `BTreeMap` takes 900 bytes for seven
//! short fields, and a copy another 900.

use crate::text::Text;
use crate::value::Value;
use std::fmt;
use std::ops::Index;
use std::sync::Arc;

/// Named values, ordered by name. A copy shares everything with its original until one of the two
/// is changed. It has the interface of a `BTreeMap`; inserting takes time by its length, so many
/// at once are collected.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object(Arc<[(Text, Value)]>);

/// A name and its value.
type Pair = (Text, Value);

impl Object {
    /// Without values. Needs no memory of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where the name stands, or where it would.
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0
            .binary_search_by(|(other, _)| other.as_str().cmp(name))
    }

    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let at = self.place(name).ok()?;
        Some(&self.0[at].1)
    }

    /// The value of that name, to be changed; not in the copies.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        let at = self.place(name).ok()?;
        Some(&mut Arc::make_mut(&mut self.0)[at].1)
    }

    /// Whether there is a value of that name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    /// Sets a value; gives the one it replaces.
    pub fn insert(&mut self, name: impl Into<Text>, value: Value) -> Option<Value> {
        let name = name.into();
        match self.place(&name) {
            Ok(at) => {
                let old = &mut Arc::make_mut(&mut self.0)[at].1;
                Some(std::mem::replace(old, value))
            }
            Err(at) => {
                let (before, after) = self.0.split_at(at);
                let (before, after) = (before.iter().cloned(), after.iter().cloned());
                self.0 = before.chain([(name, value)]).chain(after).collect();
                None
            }
        }
    }

    /// Takes a value out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.place(name).ok()?;
        let taken = self.0[at].1.clone();
        let (before, after) = (self.0[..at].iter(), self.0[at + 1..].iter());
        self.0 = before.chain(after).cloned().collect();
        Some(taken)
    }

    /// Names and values, by name.
    pub fn iter(&self) -> Iter<'_> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// The names in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Text> + ExactSizeIterator {
        self.0.iter().map(|(name, _)| name)
    }

    /// The values, by name.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Value> + ExactSizeIterator {
        self.0.iter().map(|(_, value)| value)
    }

    /// The values, by name, to be changed; not in the copies.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        let pairs = Arc::make_mut(&mut self.0);
        pairs.iter_mut().map(|(_, value)| value)
    }

    /// Whether both are one and the same in memory, and so equal.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Iterates over names and values.
pub type Iter<'a> = std::iter::Map<std::slice::Iter<'a, Pair>, fn(&Pair) -> (&Text, &Value)>;

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl Index<&str> for Object {
    type Output = Value;

    /// # Panics
    /// Where there is no value of that name.
    fn index(&self, name: &str) -> &Value {
        &self.0[self.place(name).unwrap_or(usize::MAX)].1
    }
}

impl<K: Into<Text>> FromIterator<(K, Value)> for Object {
    /// Of two values of one name the later one stays.
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter();
        let mut all: Vec<Pair> = pairs.map(|(name, value)| (name.into(), value)).collect();
        if !all.is_sorted_by(|one, next| one.0 < next.0) {
            // Stable: of one name the later ones stand behind.
            all.sort_by(|one, other| one.0.cmp(&other.0));
            all.dedup_by(|later, kept| {
                let same = later.0 == kept.0;
                if same {
                    std::mem::swap(later, kept);
                }
                same
            });
        }
        Self(all.into())
    }
}

impl<K: Into<Text>, const N: usize> From<[(K, Value); N]> for Object {
    fn from(pairs: [(K, Value); N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<K: Into<Text>> Extend<(K, Value)> for Object {
    fn extend<I: IntoIterator<Item = (K, Value)>>(&mut self, pairs: I) {
        let mut more = pairs.into_iter().peekable();
        if more.peek().is_some() {
            let more = more.map(|(name, value)| (name.into(), value));
            *self = std::mem::take(self).into_iter().chain(more).collect();
        }
    }
}

impl<'a> IntoIterator for &'a Object {
    type Item = (&'a Text, &'a Value);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl IntoIterator for Object {
    type Item = Pair;
    type IntoIter = std::vec::IntoIter<Pair>;

    fn into_iter(self) -> Self::IntoIter {
        Vec::from(&*self.0).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// What an `Object` must be indistinguishable from.
    type Model = BTreeMap<String, Value>;

    #[derive(Clone, Debug)]
    enum Deed {
        Insert(String, i64),
        Remove(String),
        Change(String, i64),
        Extend(Vec<(String, i64)>),
    }

    fn deeds() -> impl Strategy<Value = Vec<Deed>> {
        let name = || "[a-d]{1,2}";
        let deed = prop_oneof![
            (name(), any::<i64>()).prop_map(|(name, number)| Deed::Insert(name, number)),
            name().prop_map(Deed::Remove),
            (name(), any::<i64>()).prop_map(|(name, number)| Deed::Change(name, number)),
            prop::collection::vec((name(), any::<i64>()), 0..5).prop_map(Deed::Extend),
        ];
        prop::collection::vec(deed, 0..30)
    }

    fn ints(pairs: Vec<(String, i64)>) -> impl Iterator<Item = (String, Value)> {
        let pairs = pairs.into_iter();
        pairs.map(|(name, number)| (name, Value::Int(number)))
    }

    proptest! {
        #[test]
        fn it_is_an_ordered_map(deeds in deeds()) {
            let (mut object, mut model) = (Object::new(), Model::new());
            for deed in deeds {
                let (copy, before) = (object.clone(), format!("{object:?}"));
                match deed {
                    Deed::Insert(name, number) => {
                        let given = object.insert(name.as_str(), Value::Int(number));
                        prop_assert_eq!(given, model.insert(name, Value::Int(number)));
                    }
                    Deed::Remove(name) => {
                        prop_assert_eq!(object.remove(&name), model.remove(&name));
                    }
                    Deed::Change(name, number) => {
                        let change = |value: &mut Value| *value = Value::Int(number);
                        let (one, other) = (object.get_mut(&name), model.get_mut(&name));
                        prop_assert_eq!(one.map(change), other.map(change));
                    }
                    Deed::Extend(pairs) => {
                        object.extend(ints(pairs.clone()));
                        model.extend(ints(pairs));
                    }
                }
                prop_assert_eq!(format!("{copy:?}"), before, "a copy changed with it");
                prop_assert_eq!(object.len(), model.len());
                prop_assert_eq!(format!("{object:?}"), format!("{model:?}"));
                prop_assert_eq!(format!("{object:#?}"), format!("{model:#?}"));
                prop_assert!(object.keys().eq(model.keys()) && object.values().eq(model.values()));
                prop_assert!(model.iter().all(|(name, value)| object[name.as_str()] == *value));
                let again: Object = model.clone().into_iter().collect();
                prop_assert_eq!(&again, &object);
            }
        }

        #[test]
        fn two_stand_in_the_order_of_maps(
            one in prop::collection::vec(("[a-c]", 0..3_i64), 0..5),
            other in prop::collection::vec(("[a-c]", 0..3_i64), 0..5),
        ) {
            let objects: [Object; 2] = [&one, &other].map(|pairs| ints(pairs.clone()).collect());
            let models: [Model; 2] = [one, other].map(|pairs| ints(pairs).collect());
            prop_assert_eq!(objects[0].cmp(&objects[1]), models[0].cmp(&models[1]));
            prop_assert_eq!(objects[0] == objects[1], models[0] == models[1]);
        }
    }

    #[test]
    fn a_copy_is_shared_until_one_changes() {
        let one = Object::from([("a", Value::Int(1))]);
        let mut other = one.clone();
        assert!(one.is_shared_with(&other));
        other.extend(Object::new());
        assert!(one.is_shared_with(&other));
        other.insert("a", Value::Int(2));
        assert!(!one.is_shared_with(&other));
        assert_eq!(one["a"], Value::Int(1));
    }

    #[test]
    fn a_value_takes_three_words() {
        // Half of a state's memory is values; one more word is 20 MiB at 100,000 resources.
        assert_eq!(size_of::<Value>(), 24);
        assert_eq!(size_of::<Text>(), 24);
    }
}
