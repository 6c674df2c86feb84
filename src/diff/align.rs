//! Which items of two sequences belong together, in a time that is bounded by their number.

use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices};
use std::collections::BTreeMap;
use std::ops::Range;

/// Up to so many items every pair may be looked at: the search takes up to their square, which is
/// hundredths of a second.
pub(super) const ALIGNED: usize = 2_000;

/// The operations that make `new` of `old`. The flag says whether all of them were looked for: of
/// more than [`ALIGNED`] items in a row without one that is in both just once, none is.
pub(super) fn align<T: Ord>(old: &[T], new: &[T]) -> (Vec<DiffOp>, bool) {
    let mut numbers = BTreeMap::new();
    let mut number = |item| {
        let next = numbers.len();
        *numbers.entry(item).or_insert(next)
    };
    let old: Vec<usize> = old.iter().map(&mut number).collect();
    let new: Vec<usize> = new.iter().map(&mut number).collect();
    let same = |(a, b): &(&usize, &usize)| a == b;
    let start = old.iter().zip(&new).take_while(same).count();
    let (old_rest, new_rest) = (&old[start..], &new[start..]);
    let end = old_rest.iter().rev().zip(new_rest.iter().rev());
    let end = end.take_while(same).count();
    let (old_end, new_end) = (old.len() - end, new.len() - end);

    let mut operations = Operations::new(&old, &new);
    operations.equal(0, 0, start);
    if old_end - start + new_end - start <= ALIGNED {
        operations.search(start..old_end, start..new_end);
    } else {
        let (mut old_at, mut new_at) = (start, start);
        for (old_next, new_next) in anchors(&old, &new, start..old_end, start..new_end) {
            operations.search(old_at..old_next, new_at..new_next);
            operations.equal(old_next, new_next, 1);
            (old_at, new_at) = (old_next + 1, new_next + 1);
        }
        operations.search(old_at..old_end, new_at..new_end);
    }
    operations.equal(old_end, new_end, end);
    (operations.found, operations.complete)
}

/// Places of the items that are in both ranges just once: as many as are in the same order.
fn anchors(
    old: &[usize],
    new: &[usize],
    old_range: Range<usize>,
    new_range: Range<usize>,
) -> Vec<(usize, usize)> {
    let once = |items: &[usize], range: Range<usize>| {
        let mut places: BTreeMap<usize, Option<usize>> = BTreeMap::new();
        for (place, item) in items.iter().enumerate().take(range.end).skip(range.start) {
            let twice = |found: &mut Option<usize>| *found = None;
            places.entry(*item).and_modify(twice).or_insert(Some(place));
        }
        places
    };
    let there = once(new, new_range);
    let mut pairs: Vec<(usize, usize)> = once(old, old_range)
        .into_iter()
        .filter_map(|(item, place)| Some((place?, (*there.get(&item)?)?)))
        .collect();
    pairs.sort_unstable();
    // The longest run that ascends on the other side too: for every length the pair with which a
    // run of that length ends soonest, and for every pair the one before it.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (index, (_, place)) in pairs.iter().enumerate() {
        let length =
            ends.partition_point(|end| pairs.get(*end).is_some_and(|pair| pair.1 < *place));
        before.push(length.checked_sub(1).and_then(|at| ends.get(at).copied()));
        match ends.get_mut(length) {
            Some(end) => *end = index,
            None => ends.push(index),
        }
    }
    let mut run = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(index) = next {
        run.extend(pairs.get(index));
        next = before.get(index).copied().flatten();
    }
    run.reverse();
    run
}

/// Operations as they are found, from the beginning to the end.
struct Operations<'a> {
    old: &'a [usize],
    new: &'a [usize],
    found: Vec<DiffOp>,
    complete: bool,
}

impl<'a> Operations<'a> {
    fn new(old: &'a [usize], new: &'a [usize]) -> Self {
        Self {
            old,
            new,
            found: Vec::new(),
            complete: true,
        }
    }

    fn equal(&mut self, old_index: usize, new_index: usize, more: usize) {
        match self.found.last_mut() {
            _ if more == 0 => {}
            // What is between hunks is one operation.
            Some(DiffOp::Equal { len, .. }) => *len += more,
            _ => self.found.push(DiffOp::Equal {
                old_index,
                new_index,
                len: more,
            }),
        }
    }

    fn search(&mut self, old: Range<usize>, new: Range<usize>) {
        if !old.is_empty() && !new.is_empty() && old.len() + new.len() > ALIGNED {
            self.complete = false;
            return self.differ(old, new);
        }
        let items = (self.old.get(old.clone()), self.new.get(new.clone()));
        let (Some(old_items), Some(new_items)) = items else {
            return;
        };
        // Where something was added or removed the operation says nothing exact about the other
        // side, so that is counted here.
        let (mut old_at, mut new_at) = (old.start, new.start);
        for op in capture_diff_slices(Algorithm::Myers, old_items, new_items) {
            let (old_len, new_len) = (op.old_range().len(), op.new_range().len());
            match op.tag() {
                DiffTag::Equal => self.equal(old_at, new_at, old_len),
                _ => self.differ(old_at..old_at + old_len, new_at..new_at + new_len),
            }
            (old_at, new_at) = (old_at + old_len, new_at + new_len);
        }
    }

    fn differ(&mut self, old: Range<usize>, new: Range<usize>) {
        let (old_index, old_len) = (old.start, old.len());
        let (new_index, new_len) = (new.start, new.len());
        match (old_len, new_len) {
            (0, 0) => {}
            (_, 0) => self.found.push(DiffOp::Delete {
                old_index,
                old_len,
                new_index,
            }),
            (0, _) => self.found.push(DiffOp::Insert {
                old_index,
                new_index,
                new_len,
            }),
            _ => self.found.push(DiffOp::Replace {
                old_index,
                old_len,
                new_index,
                new_len,
            }),
        }
    }
}
