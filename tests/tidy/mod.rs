//! The rules of this repository that the compiler cannot hold: crate edges, dependencies,
//! licences, file sizes and names, words. Every message says what to do.

#[cfg(test)]
mod edges;
#[cfg(test)]
mod files;
#[cfg(test)]
mod licences;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod manifests;
#[cfg(test)]
mod third_party;
#[cfg(test)]
mod traps;
#[cfg(test)]
mod words;
#[cfg(test)]
mod workspace;
