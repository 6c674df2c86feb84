//! Artifacts over HTTP: from their own address, from a mirror, and what goes wrong there.

#[cfg(test)]
mod http;
#[cfg(test)]
#[path = "../k3s/site.rs"]
mod site;
