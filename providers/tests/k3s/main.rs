//! The boot script itself, run by a shell in a folder that stands for the machine, against a small
//! HTTP server that stands for storage, metadata service and download site.

#[cfg(test)]
mod grant;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod restore;
#[cfg(test)]
mod site;
#[cfg(test)]
mod token;
#[cfg(test)]
mod unreachable;
