//! `kplan import --discover`: which of what exists in the account is what the file describes.
//! Nothing is decided here: bindings are proposed, each with why, and what could be several things
//! is left to whoever reads it.

mod matching;
mod render;

pub use matching::{Confidence, Proposal, differing, matched, stand_in};
pub use render::{blocks, document, reasons, text};

use crate::cli::ImportArgs;
use crate::cmd::session::Session;
use crate::render::Terminal;
use crate::wire::keys_of_environment;
use kplan_model::{Address, ProviderError};
use kplan_providers::digitalocean::{Discovered, Discovery};
use kplan_schema::value::SPACES_REGIONS;
use std::collections::BTreeMap;

/// What of the account is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// What carries this tag.
    pub tag: Option<String>,
    /// What stands in the VPC of this name or id, and the VPC.
    pub vpc: Option<String>,
    /// What is called so; `*` is anything, `?` any character.
    pub name: Option<String>,
}

impl Only {
    /// As the command line says.
    pub fn of_arguments(args: &ImportArgs) -> Self {
        Self {
            tag: args.tag.clone(),
            vpc: args.vpc.clone(),
            name: args.name.clone(),
        }
    }

    /// Whether only a part is looked at.
    pub fn is_part(&self) -> bool {
        *self != Self::default()
    }

    /// What it says of an account that has nothing like that.
    pub fn misses(&self, all: &[Discovered]) -> Option<String> {
        if let Some(wanted) = &self.vpc
            && network(wanted, all).is_none()
        {
            return Some(format!("the account has no VPC `{wanted}`"));
        }
        if let Some(wanted) = &self.tag
            && !all.iter().any(|it| it.tags.contains(wanted))
        {
            return Some(format!("nothing in the account carries the tag `{wanted}`"));
        }
        let glob = self.name.as_ref()?;
        let called = all.iter().any(|it| is_like(glob, &it.name));
        (!called).then(|| format!("nothing in the account is called `{glob}`"))
    }

    /// Those of what exists that are looked at. Kinds without tags, or that stand in no VPC, are left
    /// out where that is asked for.
    pub fn of(&self, all: Vec<Discovered>) -> Vec<Discovered> {
        let vpc = self.vpc.as_ref().map(|wanted| {
            let found = network(wanted, &all);
            found.map_or_else(|| wanted.clone(), |it| it.id.clone())
        });
        let fits = |it: &Discovered| {
            let tagged = self.tag.as_ref().is_none_or(|tag| it.tags.contains(tag));
            let inside = vpc.as_ref().is_none_or(|vpc| {
                it.vpc.as_ref() == Some(vpc) || (it.kind == "vpc" && it.id == *vpc)
            });
            let called = self
                .name
                .as_ref()
                .is_none_or(|glob| is_like(glob, &it.name));
            tagged && inside && called
        };
        all.into_iter().filter(fits).collect()
    }
}

/// The VPC of that name or id.
fn network<'a>(wanted: &str, all: &'a [Discovered]) -> Option<&'a Discovered> {
    let mut networks = all.iter().filter(|it| it.kind == "vpc");
    networks.find(|it| it.id == wanted || it.name == wanted)
}

/// Whether a text is as a pattern says. Linear in the text for each star, so bounded by both lengths.
fn is_like(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        match glob.get(at) {
            Some('*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(one) if *one == '?' || *one == text[from] => {
                at += 1;
                from += 1;
            }
            _ => match star {
                Some((before, taken)) => {
                    star = Some((before, taken + 1));
                    at = before + 1;
                    from = taken + 1;
                }
                None => return false,
            },
        }
    }
    glob[at..].iter().all(|one| *one == '*')
}

/// One of several that something could be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: String,
    /// What it is, for whoever has to choose.
    pub text: String,
}

/// What a look proposes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Bindings, by address.
    pub proposals: BTreeMap<Address, Proposal>,
    /// What several could be.
    pub ambiguous: BTreeMap<Address, Vec<Candidate>>,
    /// What nothing could be.
    pub nothing: Vec<Address>,
    /// How much else there is, by kind.
    pub others: BTreeMap<&'static str, usize>,
    /// What could not be read, with the reason.
    pub unread: Vec<String>,
    /// Whether only a part of the account was looked at.
    pub is_part: bool,
}

/// What an account has.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Everything that could be read.
    pub existing: Vec<Discovered>,
    /// Why the rest could not.
    pub unread: Vec<String>,
    /// The public half of the key that sees its buckets.
    pub access_key: Option<String>,
}

/// Looks at everything, over a connection that only reads. Buckets are seen by a key of Spaces alone,
/// the environment's; what is played has buckets of its own, of which that key knows nothing.
pub async fn look(session: &Session, terminal: &mut Terminal) -> Account {
    let discovery = Discovery::over(session.adapters.digitalocean.clone());
    let keys = keys_of_environment().filter(|_| !session.cloud.embedded);
    if keys.is_none() && !session.cloud.embedded {
        terminal.note(
            "Buckets are not looked for: a key of Spaces sees them, and SPACES_ACCESS_KEY_ID and \
             SPACES_SECRET_ACCESS_KEY are not set.",
        );
    }
    let buckets = async {
        let keys = keys.as_ref()?;
        Some(Discovery::buckets(&session.adapters.spaces, keys, SPACES_REGIONS).await)
    };
    let (mut all, buckets) = futures_util::join!(discovery.all(), buckets);
    if let Some(buckets) = buckets {
        all.insert("bucket", buckets);
    }
    let (existing, unread) = readable(all);
    Account {
        existing,
        unread,
        access_key: keys.map(|keys| keys.access_key),
    }
}

/// Everything of an account that could be read, and why the rest could not.
fn readable(
    all: BTreeMap<&'static str, Result<Vec<Discovered>, ProviderError>>,
) -> (Vec<Discovered>, Vec<String>) {
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    for (kind, read) in all {
        match read {
            Ok(some) => found.extend(some),
            Err(error) => unread.push(format!("{kind}: {error}")),
        }
    }
    (found, unread)
}
