//! Nodes that boot, clusters and what runs in them: against upstream's own manifests, and against
//! a sandbox over loopback.

#[cfg(test)]
mod boots;
#[cfg(test)]
mod definitions;
mod delivered;
#[cfg(test)]
mod hands;
#[cfg(test)]
#[path = "../../src/kubernetes/known.rs"]
mod known;
#[cfg(test)]
mod owners;
#[cfg(test)]
mod real;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod upstream;
