//! Nodes that boot, clusters and what runs in them: against upstream's own manifests, and against
//! a sandbox over loopback.

#[cfg(test)]
mod boots;
mod delivered;
#[cfg(test)]
mod hands;
#[cfg(test)]
mod real;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod upstream;
