//! `[[addon]]`.

use super::Lowerer;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::raw::{Leaf, Opt, RawAddon, RawAddonHelm, RawAddonManifest};
use crate::span::{Span, Spanned};
use crate::spec::{Addon, AddonSource, Chart};
use crate::value::{ArtifactUrl, FromText as _};

impl Lowerer<'_> {
    pub(super) fn own_addons(&mut self, raw: &Opt<Vec<Leaf<RawAddon>>>) -> Vec<Addon> {
        Self::tables(raw)
            .map(|addon| self.own_addon(addon))
            .collect()
    }

    fn own_addon(&mut self, raw: &RawAddon) -> Addon {
        let written = [
            ("manifest", raw.manifest.is_some()),
            ("helm", raw.helm.is_some()),
        ];
        let source = if self.exactly_one(&written, raw.span, "An add-on comes from one place.") {
            match (&raw.manifest, &raw.helm) {
                (Some(Leaf::Read(manifest)), _) => self.manifest(&manifest.value),
                (_, Some(Leaf::Read(helm))) => self.helm(&helm.value),
                // Reported where it could not be read.
                _ => stand_in(),
            }
        } else {
            stand_in()
        };
        Addon {
            name: self.required(&raw.name),
            namespace: self.optional(&raw.namespace),
            after: self.list(&raw.after),
            source,
            span: Some(raw.span),
        }
    }

    fn manifest(&mut self, raw: &RawAddonManifest) -> AddonSource {
        let written = [("url", raw.url.is_some()), ("file", raw.file.is_some())];
        if !self.exactly_one(&written, raw.span, "A manifest comes from one place.") {
            return stand_in();
        }
        if let Some(file) = &raw.file {
            self.only_with("url", &[("sha256", raw.sha256.as_ref().map(Leaf::span))]);
            return AddonSource::File(self.text(file));
        }
        AddonSource::Manifest {
            url: self.text_or(&raw.url, ArtifactUrl::stand_in),
            sha256: self.optional(&raw.sha256),
        }
    }

    fn helm(&mut self, raw: &RawAddonHelm) -> AddonSource {
        let written = [("repo", raw.repo.is_some()), ("url", raw.url.is_some())];
        if !self.exactly_one(&written, raw.span, "A chart comes from one place.") {
            return stand_in();
        }
        let chart = match (&raw.repo, &raw.url) {
            (Some(repo), _) => {
                self.part_of_repository("chart", raw.chart.as_ref(), raw.span);
                self.part_of_repository("version", raw.version.as_ref(), raw.span);
                Chart::Repository {
                    repo: self.text(repo),
                    name: self.text_or(&raw.chart, crate::value::ChartName::stand_in),
                    version: self.text_or(&raw.version, crate::value::ChartVersion::stand_in),
                }
            }
            (None, url) => {
                let keys = [
                    ("chart", raw.chart.as_ref().map(Leaf::span)),
                    ("version", raw.version.as_ref().map(Leaf::span)),
                ];
                self.only_with("repo", &keys);
                Chart::Archive(self.text_or(url, ArtifactUrl::stand_in))
            }
        };
        AddonSource::Helm {
            chart,
            sha256: self.optional(&raw.sha256),
            values: self.optional(&raw.values),
        }
    }

    fn part_of_repository(&mut self, key: &str, leaf: Option<&Leaf<String>>, table: Span) {
        if leaf.is_some() {
            return;
        }
        self.report.push(
            Finding::new(Code::MissingKey, format!("`{key}` is missing"))
                .label(table, "this chart is in a repository")
                .why("A repository has many charts, each in many versions.")
                .remedy(
                    "Write `repo`, `chart` and `version`, or the address of the chart's archive as \
                     `url`.",
                ),
        );
    }
}

/// Takes the place of a source that could not be read; that has been reported.
fn stand_in() -> AddonSource {
    AddonSource::Manifest {
        url: Spanned::default_of(ArtifactUrl::stand_in()),
        sha256: None,
    }
}
