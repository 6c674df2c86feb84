//! `[[domain]]` and `[[domain_record]]`.

use super::{Lowerer, optional_flag};
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::raw::{Leaf, Opt, RawDomain, RawDomainRecord, Req};
use crate::span::{Span, Spanned};
use crate::spec::{DomainRecord, FreeDomain};
use crate::value::{DnsLabel, Domain, RecordName, RecordType, record_label};

/// Seconds; DigitalOcean takes no less.
const MIN_TTL: u32 = 30;
/// Seconds; DNS has no more (RFC 2181, 8).
const MAX_TTL: u32 = 2_147_483_647;
/// Seconds; DigitalOcean's own default.
const DEFAULT_TTL: u32 = 1800;
/// Priorities, ports and weights are numbers of 16 bits (RFC 1035, RFC 2782).
const MAX_NUMBER: u32 = 65_535;

impl Lowerer<'_> {
    pub(super) fn domains(&mut self, raw: &Opt<Vec<Leaf<RawDomain>>>) -> Vec<FreeDomain> {
        Self::tables(raw)
            .map(|domain| {
                let name: Spanned<Domain> = self.required(&domain.name);
                FreeDomain {
                    label: self.label(&domain.label, name.as_str(), name.span),
                    name,
                    protect: optional_flag(&domain.protect),
                    span: Some(domain.span),
                }
            })
            .collect()
    }

    pub(super) fn domain_records(
        &mut self,
        raw: &Opt<Vec<Leaf<RawDomainRecord>>>,
    ) -> Vec<DomainRecord> {
        Self::tables(raw)
            .map(|record| self.domain_record(record))
            .collect()
    }

    fn domain_record(&mut self, raw: &RawDomainRecord) -> DomainRecord {
        let domain = self.required(&raw.domain);
        let kind: Spanned<RecordType> = self.required(&raw.r#type);
        let name: Spanned<RecordName> = self.required(&raw.name);
        // What was reported already says nothing about the rest.
        let known =
            |lowerer: &Self, span: Option<Span>| span.is_some() && lowerer.report.trusts(span);
        let typed = known(self, kind.span);
        let whole = typed && known(self, domain.span) && known(self, name.span);
        if whole {
            self.not_doubled(&name, &domain);
        }
        let label = match &raw.label {
            Some(leaf) => self.text::<DnsLabel>(leaf).map(|label| label.to_string()),
            None => Spanned {
                value: record_label(kind.value.as_str(), name.as_str(), domain.as_str()),
                span: whole.then_some(raw.span),
            },
        };
        let numbers = [
            ("priority", kind.value.has_priority(), &raw.priority),
            ("port", kind.value.has_port(), &raw.port),
            ("weight", kind.value.has_port(), &raw.weight),
        ];
        let [priority, port, weight] = numbers.map(|(key, wanted, field)| {
            if typed {
                self.fitting(key, wanted, field, &kind, raw.span);
            }
            let leaf = field.as_ref()?;
            let why = "DNS has 16 bits for it.";
            Some(self.ranged(leaf, 0..=MAX_NUMBER, 0, why))
        });
        DomainRecord {
            value: self.record_value(&raw.value, typed.then_some(kind.value)),
            ttl: self.number(
                &raw.ttl,
                MIN_TTL..=MAX_TTL,
                DEFAULT_TTL,
                "DigitalOcean takes no less than half a minute, and DNS has 31 bits for it.",
            ),
            label,
            domain,
            kind,
            name,
            priority,
            port,
            weight,
            protect: optional_flag(&raw.protect),
            span: Some(raw.span),
        }
    }

    /// What a record says, in one spelling; as it stands where nobody knows its type.
    fn record_value(&mut self, field: &Req<String>, kind: Option<RecordType>) -> Spanned<String> {
        let mut value: Spanned<String> = self.required(field);
        let (Some(kind), Some(span)) = (kind, value.span.filter(|span| self.report.trusts(*span)))
        else {
            return value;
        };
        match kind.value(&value) {
            Ok(one) => value.value = one,
            Err(invalid) => self.invalid(span, invalid),
        }
        value
    }

    /// Refuses a full name where one within the domain belongs: `www.example.com.example.com`.
    fn not_doubled(&mut self, name: &Spanned<RecordName>, domain: &Spanned<Domain>) {
        let rest = name.as_str().strip_suffix(domain.as_str());
        let within = match rest {
            Some("") => "@",
            Some(rest) => match rest.strip_suffix('.') {
                Some(within) => within,
                None => return,
            },
            None => return,
        };
        let Some(span) = name.span else { return };
        self.report.distrust(span);
        self.report.push(
            Finding::new(
                Code::DomainRecordInvalid,
                format!("the name `{name}` has the domain in it"),
            )
            .label(span, format!("would be {}", name.full(domain)))
            .label(domain.span, "is added to it")
            .why("A record's name is its name within the domain.")
            .remedy(format!("Write `{within}`."))
            .suggest(span, Some(within)),
        );
    }

    /// Refuses a number that a record of its type needs and lacks, or has and nobody reads.
    fn fitting(
        &mut self,
        key: &str,
        wanted: bool,
        field: &Opt<i64>,
        kind: &Spanned<RecordType>,
        table: Span,
    ) {
        let (message, place, remedy) = match field {
            None if wanted => (
                format!("a record of type {kind} needs a {key}"),
                table,
                format!("Add `{key}`, a whole number up to {MAX_NUMBER}."),
            ),
            Some(leaf) if !wanted => (
                format!("a record of type {kind} has no {key}"),
                leaf.span(),
                format!("Take `{key}` out."),
            ),
            _ => return,
        };
        self.report.push(
            Finding::new(Code::DomainRecordInvalid, message)
                .label(place, "here")
                .label(kind.span, "its type")
                .why("Priorities order MX and SRV records; ports and weights are SRV's alone.")
                .remedy(remedy),
        );
    }
}
