//! Domains, the record of the API's name, and the records of the file.

use super::build::{Builder, address};
use super::network::api_address;
use kplan_model::{Address, Input, Meta};
use kplan_providers::digitalocean::{DomainArgs, DomainRecordArgs};
use kplan_schema::Spanned;
use kplan_schema::spec::{API_RECORD, DomainRecord, FreeDomain};
use kplan_schema::value::Domain;

/// Seconds that resolvers keep the API's address: an only server that is replaced gets another.
const API_TTL: u32 = 300;

/// The record of the API's name.
pub fn api_record() -> Address {
    record(API_RECORD)
}

fn record(label: &str) -> Address {
    address("domain_record", label)
}

/// Declares them.
pub fn declare(builder: &mut Builder<'_>) {
    let spec = builder.spec;
    for wanted in &spec.domains {
        domain(builder, wanted);
    }
    api(builder);
    for wanted in &spec.domain_records {
        free(builder, wanted);
    }
}

fn domain(builder: &mut Builder<'_>, wanted: &FreeDomain) {
    let args = DomainArgs {
        name: wanted.name.to_string(),
    };
    let meta = builder.guard(wanted.protect.as_ref());
    let at = address("domain", wanted.label.as_str());
    builder.add_with(at, &args, wanted.span, meta);
    builder.field_at("name", wanted.name.span);
}

/// A record comes after its domain, where the file makes that too, and goes before it.
fn within(builder: &Builder<'_>, domain: &Domain, mut meta: Meta) -> Meta {
    let mut domains = builder.spec.domains.iter();
    let made = domains.find(|it| it.name.value == *domain);
    meta.after
        .extend(made.map(|it| address("domain", it.label.as_str())));
    meta
}

/// Leads the API's name to wherever it is.
fn api(builder: &mut Builder<'_>) {
    let spec = builder.spec;
    let Some(((domain, name), value)) = spec.api_record().zip(api_address(builder)) else {
        return;
    };
    let args = DomainRecordArgs {
        domain: domain.to_string(),
        r#type: "A".to_owned(),
        name: name.to_string(),
        value,
        ttl: API_TTL,
        priority: None,
        port: None,
        weight: None,
    };
    let meta = within(builder, domain, builder.guarded());
    let span = spec.endpoint.as_ref().and_then(|endpoint| endpoint.span);
    builder.add_with(api_record(), &args, span, meta);
    builder.field_at("domain", domain.span);
    builder.field_at("name", spec.api_hostname().and_then(|name| name.span));
}

fn free(builder: &mut Builder<'_>, wanted: &DomainRecord) {
    let number = |given: &Option<Spanned<u32>>| given.as_ref().map(|number| number.value);
    let args = DomainRecordArgs {
        domain: wanted.domain.to_string(),
        r#type: wanted.kind.to_string(),
        name: wanted.name.to_string(),
        value: Input::Known(wanted.value.value.clone()),
        ttl: wanted.ttl.value,
        priority: number(&wanted.priority),
        port: number(&wanted.port),
        weight: number(&wanted.weight),
    };
    let meta = builder.guard(wanted.protect.as_ref());
    let meta = within(builder, &wanted.domain, meta);
    builder.add_with(record(&wanted.label), &args, wanted.span, meta);
    for (field, span) in [
        ("domain", wanted.domain.span),
        ("type", wanted.kind.span),
        ("name", wanted.name.span),
        ("value", wanted.value.span),
        ("ttl", wanted.ttl.span),
    ] {
        builder.field_at(field, span);
    }
}
